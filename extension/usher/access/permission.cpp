#include "usher/access/permission.hpp"
#include <algorithm>

namespace usher::permission {

namespace {

constexpr std::string_view any = "*";

bool is_word(std::string_view part) noexcept {
    const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !part.empty() && alnum(part.front()) &&
           std::all_of(part.begin(), part.end(), [&](char c) { return alnum(c) || c == '_' || c == '-' || c == '.'; });
}

bool part_covers(std::string_view pattern, std::string_view request) noexcept {
    return pattern == any || pattern == request;
}

bool same_scope(std::string_view a, std::string_view b) {
    if (a == b) return true;
    const auto left = parse_uuid(a);
    return left && left == parse_uuid(b);
}

} // namespace

std::optional<Name> parse(std::string_view text) noexcept {
    if (text.size() > max_length) return std::nullopt;
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const Name name{text.substr(0, colon), text.substr(colon + 1)};
    const bool everything = name.resource == any && name.action == any;
    const bool one_resource = is_word(name.resource) && (name.action == any || is_word(name.action));
    if (!everything && !one_resource) return std::nullopt;
    return name;
}

bool covers(const Name &pattern, const Name &request) noexcept {
    return part_covers(pattern.resource, request.resource) && part_covers(pattern.action, request.action);
}

bool touches(const Name &pattern, const Name &request) noexcept {
    return covers(pattern, request) || covers(request, pattern);
}

std::string_view to_string(Via via) noexcept {
    switch (via) {
    case Via::deny: return "deny";
    case Via::role: return "role";
    case Via::direct: return "direct";
    case Via::policy: return "policy";
    case Via::nothing: break;
    }
    return "nothing";
}

bool scope_applies(const std::optional<std::string> &rule_scope, std::optional<std::string_view> request_scope) {
    return !rule_scope || (request_scope && same_scope(*rule_scope, *request_scope));
}

Window &UuidWindows::operator[](const Uuid &id) {
    if (2 * (count_ + 1) > slots_.size()) { // twice as many slots, and everything into its new place
        std::vector<Slot> old(slots_.empty() ? 4 : 2 * slots_.size());
        old.swap(slots_);
        mask_ = slots_.size() - 1;
        for (const Slot &slot : old)
            if (slot.is_used) slots_[place(slot.id)] = slot;
    }
    Slot &slot = slots_[place(id)];
    if (!slot.is_used) {
        slot.id = id;
        slot.is_used = true;
        ++count_;
    }
    return slot.window;
}

void Windows::add(const std::optional<std::string> &scope, Effect effect, Instant until) {
    if (!scope)
        everywhere_.add(effect, until);
    else if (const auto id = parse_uuid(*scope))
        by_uuid_[*id].add(effect, until);
    else
        by_text_[*scope].add(effect, until);
}

Window Windows::at(std::string_view scope) const {
    if (const auto id = parse_uuid(scope)) return at(*id);
    Window sum = everywhere_;
    if (const auto found = by_text_.find(scope); found != by_text_.end()) sum.add(found->second);
    return sum;
}

bool Windows::open_somewhere(Instant now) const noexcept {
    const auto open = [&](const Window &scoped) {
        Window sum = everywhere_;
        sum.add(scoped);
        return sum.open(now);
    };
    return everywhere_.open(now) ||
           std::any_of(by_uuid_.slots().begin(), by_uuid_.slots().end(),
                       [&](const UuidWindows::Slot &slot) { return slot.is_used && open(slot.window); }) ||
           std::any_of(by_text_.begin(), by_text_.end(), [&](const auto &entry) { return open(entry.second); });
}

std::size_t Windows::weight() const noexcept {
    return sizeof(Windows) + by_uuid_.slots().size() * sizeof(UuidWindows::Slot) + by_text_.size() * 150;
}

RuleSet::RuleSet(std::vector<Rule> rules) : rules_(std::move(rules)) {
    std::sort(rules_.begin(), rules_.end(), [](const Rule &a, const Rule &b) { return a.resource < b.resource; });
}

/// Calls `use` for each rule that could matter: allow rules that cover the request, deny rules that touch it.
template <class F> void RuleSet::each_touching(const Name &request, F &&use) const {
    const auto visit = [&](auto first, auto last) {
        for (; first != last; ++first) {
            const Name pattern{first->resource, first->action};
            if (first->effect == Effect::allow ? covers(pattern, request) : touches(pattern, request)) use(*first);
        }
    };
    if (request.resource == any) return visit(rules_.begin(), rules_.end());
    const auto by_resource = [](const auto &a, const auto &b) {
        const auto key = [](const auto &v) -> std::string_view {
            if constexpr (requires { v.resource; })
                return v.resource;
            else
                return v;
        };
        return key(a) < key(b);
    };
    for (const std::string_view resource : {any, request.resource}) {
        const auto range = std::equal_range(rules_.begin(), rules_.end(), resource, by_resource);
        visit(range.first, range.second);
    }
}

Windows RuleSet::windows(const Name &request) const {
    Windows out;
    each_touching(request, [&](const Rule &rule) { out.add(rule.scope, rule.effect, rule.expires_at); });
    return out;
}

Decision RuleSet::decide(const Name &request, std::optional<std::string_view> scope, Instant now) const {
    const auto step = [](const Rule &rule) {
        if (rule.effect == Effect::deny) return Via::deny;
        if (rule.source == Source::role) return Via::role;
        return rule.source == Source::direct ? Via::direct : Via::policy;
    };
    Decision best;
    each_touching(request, [&](const Rule &rule) {
        if (now >= rule.expires_at || !scope_applies(rule.scope, scope)) return;
        const Via via = step(rule);
        const bool earlier_step = best.via == Via::nothing || via < best.via;
        if (earlier_step || (via == best.via && rule.expires_at > best.expires_at))
            best = {via != Via::deny, via, rule.expires_at};
    });
    return best;
}

} // namespace usher::permission
