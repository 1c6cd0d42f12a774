// Permissions and the decision whether somebody has one: pure rules, no server.
//
// A permission is "resource:action". A rule grants or denies a pattern: a permission, "resource:*" (every action of one
// resource) or "*:*" (everything). A rule with a scope (a location, a team, a tenant …) counts only for requests that
// name the same scope; a rule without one counts for every request. The same holds for allow and deny.
//
// Decision order: explicit deny, then roles, then direct grants, then policy rules; else no. Because allow rules can
// only add, the yes or no depends on two facts alone: is a deny in force, is an allow in force. The order decides what
// `via` says.
#pragma once
#include "common/types.hpp"
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher::permission {

/// The longest name that is accepted, in bytes.
inline constexpr std::size_t max_length = 150;

/// "resource:action" taken apart; both parts may be "*". The views point into the text that was parsed.
struct Name {
    std::string_view resource, action;
    friend bool operator==(const Name &, const Name &) = default;
};

/// Takes a permission or pattern apart. Parts are 1 or more of a-z 0-9 _ - . and begin with a letter or digit, or are
/// "*"; "*:action" is refused, because a permission's action means nothing without its resource. nullopt otherwise.
std::optional<Name> parse(std::string_view text) noexcept;

/// Whether everything that `request` asks for lies within `pattern`.
bool covers(const Name &pattern, const Name &request) noexcept;
/// Whether `pattern` and `request` have a permission in common: a deny of booking:delete touches a request for
/// booking:*.
bool touches(const Name &pattern, const Name &request) noexcept;

inline constexpr Instant never = std::numeric_limits<Instant>::max();      // an expiry that never comes
inline constexpr Instant not_at_all = std::numeric_limits<Instant>::min(); // an expiry that has always passed

enum class Effect : std::uint8_t { allow, deny };
enum class Source : std::uint8_t { role, direct, policy }; // in the order in which they decide
enum class Via : std::uint8_t { nothing, deny, role, direct, policy };

/// Name of a Via as SQL shows it.
std::string_view to_string(Via via) noexcept;

/// One rule in force for one user.
struct Rule {
    std::string resource, action;
    std::optional<std::string> scope; // nullopt: everywhere
    Effect effect = Effect::allow;
    Source source = Source::role;
    Instant expires_at = never; // first instant at which the rule no longer counts
};

/// Until when an allow and a deny are in force: all that a yes or no needs.
struct Window {
    Instant allow_until = not_at_all, deny_until = not_at_all;

    void add(Effect effect, Instant until) noexcept {
        Instant &mine = effect == Effect::allow ? allow_until : deny_until;
        mine = until > mine ? until : mine;
    }
    void add(const Window &other) noexcept {
        add(Effect::allow, other.allow_until);
        add(Effect::deny, other.deny_until);
    }
    /// True when no clock is needed: nothing in it expires.
    [[nodiscard]] bool timeless() const noexcept {
        return (allow_until == never || allow_until == not_at_all) && (deny_until == never || deny_until == not_at_all);
    }
    [[nodiscard]] bool open(Instant now) const noexcept { return now >= deny_until && now < allow_until; }
};

/// Windows by uuid: a hash table with open addressing, because a policy looks into it for every row. Scopes are ids
/// that somebody was granted, so nobody chooses them to collide.
class UuidWindows {
public:
    struct Slot {
        Uuid id;
        bool is_used = false;
        Window window;
    };
    Window &operator[](const Uuid &id);
    [[nodiscard]] const Window *find(const Uuid &id) const noexcept {
        if (count_ == 0) return nullptr;
        const Slot &slot = slots_[place(id)];
        return slot.is_used ? &slot.window : nullptr;
    }
    [[nodiscard]] const std::vector<Slot> &slots() const noexcept { return slots_; }

private:
    /// Where the id is, or the free slot where it belongs.
    [[nodiscard]] std::size_t place(const Uuid &id) const noexcept {
        std::uint64_t halves[2];
        std::memcpy(halves, id.bytes.data(), sizeof halves);
        const std::uint64_t mixed = (halves[0] * 0x9e3779b97f4a7c15u ^ halves[1]) * 0xd6e8feb86659fd93u;
        std::size_t at = (mixed >> 32) & mask_;
        while (slots_[at].is_used && std::memcmp(slots_[at].id.bytes.data(), halves, sizeof halves) != 0)
            at = (at + 1) & mask_;
        return at;
    }
    std::vector<Slot> slots_; // a power of two of them, at most half full
    std::size_t mask_ = 0;    // their number less one
    std::size_t count_ = 0;
};

/// What one user's rules say about one permission, by scope. Looking a scope up costs one hash.
class Windows {
public:
    void add(const std::optional<std::string> &scope, Effect effect, Instant until);
    /// The window of requests without a scope.
    [[nodiscard]] const Window &everywhere() const noexcept { return everywhere_; }
    /// The window of requests with this scope. Scopes are compared byte by byte, except that the text form of a uuid
    /// in either case is the uuid.
    [[nodiscard]] Window at(std::string_view scope) const;
    [[nodiscard]] Window at(const Uuid &scope) const noexcept {
        Window sum = everywhere_;
        if (const Window *const mine = by_uuid_.find(scope)) sum.add(*mine);
        return sum;
    }
    /// Whether the permission is held now in at least one scope.
    [[nodiscard]] bool open_somewhere(Instant now) const noexcept;
    /// Estimate of the memory in use, in bytes.
    [[nodiscard]] std::size_t weight() const noexcept;

private:
    Window everywhere_;
    UuidWindows by_uuid_;
    std::map<std::string, Window, std::less<>> by_text_;
};

struct Decision {
    bool allowed = false;
    Via via = Via::nothing;
    Instant expires_at = never; // of the rule that decided
};

/// All rules in force for one user.
class RuleSet {
public:
    RuleSet() = default;
    explicit RuleSet(std::vector<Rule> rules);

    /// What the rules say about one permission, for many questions with different scopes and times.
    [[nodiscard]] Windows windows(const Name &request) const;
    /// One question, with the step that decided.
    [[nodiscard]] Decision decide(const Name &request, std::optional<std::string_view> scope, Instant now) const;
    [[nodiscard]] std::size_t size() const noexcept { return rules_.size(); }
    [[nodiscard]] const std::vector<Rule> &all() const noexcept { return rules_; }

private:
    template <class F> void each_touching(const Name &request, F &&use) const;
    std::vector<Rule> rules_; // sorted by resource
};

/// Whether a rule with `rule_scope` counts for a request with `request_scope`.
bool scope_applies(const std::optional<std::string> &rule_scope, std::optional<std::string_view> request_scope);

} // namespace usher::permission
