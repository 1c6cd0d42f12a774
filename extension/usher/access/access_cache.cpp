#include "usher/access/access_cache.hpp"
#include "pg/cache.hpp"
#include "pg/moment.hpp"
#include "usher/operations/settings.hpp"
#include <list>

namespace usher::access {

namespace {

constinit pg::EntryInvalidation changes{"access_inval"};

// Latest: what is committed now, also for REPEATABLE READ. Else a session with an old snapshot would read what held
// then, and keep it after its transaction.
constexpr auto latest = pg::Access::latest;
constinit pg::Statement read_user{"SELECT u.is_active FROM usher.users u WHERE u.id OPERATOR(pg_catalog.=) $1", latest};
constinit pg::Statement read_assigned{R"(
    SELECT ur.role_id, ur.scope, ur.expires_at FROM usher.user_roles ur WHERE ur.user_id OPERATOR(pg_catalog.=) $1)",
                                      latest};
constinit pg::Statement read_roles{R"(
    SELECT h.role, h.scope, h.expires_at FROM usher._held_roles h WHERE h.user_id OPERATOR(pg_catalog.=) $1)",
                                   latest};
constinit pg::Statement read_shown{R"(
    SELECT s.role, s.scope, s.expires_at FROM usher._shown_roles s
    WHERE s.user_id OPERATOR(pg_catalog.=) $1 ORDER BY s.place)",
                                   latest};
constinit pg::Statement read_manages{R"(
    SELECT m.target_role_id, h.scope, h.expires_at
    FROM usher._held_roles h JOIN usher.role_management m ON m.actor_role_id OPERATOR(pg_catalog.=) h.role_id
    WHERE h.user_id OPERATOR(pg_catalog.=) $1)",
                                     latest};
constinit pg::Statement read_rules{R"(
    SELECT h.source, h.permission, h.effect, h.scope, h.expires_at
    FROM usher._held_rules h
    WHERE h.user_id OPERATOR(pg_catalog.=) $1)",
                                   latest};
constinit pg::Statement read_policies{
    "SELECT p.resource, p.action, p.effect, p.scope, p.expires_at FROM usher._policy_rules_of($1) p", latest};

constexpr std::size_t max_windows =
    256; // permissions asked about per user; nobody asks about more without meaning harm

permission::Effect effect_of(std::string_view text) {
    return text == "deny" ? permission::Effect::deny : permission::Effect::allow;
}

std::vector<RoleRef> role_refs(pg::Statement &statement, const Uuid &user) {
    std::vector<RoleRef> out;
    const pg::Rows rows = statement.run({pg::uuid(user)});
    for (std::size_t i = 0; i < rows.size(); ++i)
        out.push_back(
            {rows[i].optional_uuid(0), rows[i].optional_text(1), rows[i].optional_time(2).value_or(permission::never)});
    return out;
}

std::vector<HeldRole> held_roles(pg::Statement &statement, const Uuid &user) {
    std::vector<HeldRole> out;
    const pg::Rows rows = statement.run({pg::uuid(user)});
    for (std::size_t i = 0; i < rows.size(); ++i)
        out.push_back(
            {rows[i].string(0), rows[i].optional_text(1), rows[i].optional_time(2).value_or(permission::never)});
    return out;
}

permission::RuleSet read_rule_set(const Uuid &user) {
    std::vector<permission::Rule> rules;
    const pg::Rows grants = read_rules.run({pg::uuid(user)});
    for (std::size_t i = 0; i < grants.size(); ++i) {
        const pg::Row row = grants[i];
        const std::string name = row.string(1);
        if (const auto parsed = permission::parse(name))
            rules.push_back({std::string(parsed->resource), std::string(parsed->action), row.optional_text(3),
                             effect_of(row.text(2)),
                             row.text(0) == "role" ? permission::Source::role : permission::Source::direct,
                             row.optional_time(4).value_or(permission::never)});
    }
    const pg::Rows policies = read_policies.run({pg::uuid(user)});
    for (std::size_t i = 0; i < policies.size(); ++i) {
        const pg::Row row = policies[i];
        rules.push_back({row.string(0), row.string(1), row.optional_text(3), effect_of(row.text(2)),
                         permission::Source::policy, row.optional_time(4).value_or(permission::never)});
    }
    return permission::RuleSet(std::move(rules));
}

UserAccess read(const Uuid &user) {
    const pg::AsOwner owner;
    UserAccess out;
    out.assigned = role_refs(read_assigned, user);
    const pg::Rows found = read_user.run({pg::uuid(user)});
    if (found.empty() || !found.front().boolean(0)) return out;
    out.roles = held_roles(read_roles, user);
    out.shown = held_roles(read_shown, user);
    out.manages = role_refs(read_manages, user);
    out.rules = read_rule_set(user);
    return out;
}

/// Entries in the order of their last use, the latest first, and where to find them.
struct Cache {
    struct Entry {
        Uuid user;
        std::uint32_t tag; // under which changes of the user are announced
        UserAccess access;
    };
    using Place = std::list<Entry>::iterator;
    std::list<Entry> entries;
    std::unordered_map<Uuid, Place> index;
    std::unordered_multimap<std::uint32_t, Place> tagged;
    std::size_t weight = 0;
    std::uint64_t generation = 0; // of the invalidation, when the cache was last emptied

    void clear() {
        index.clear();
        tagged.clear();
        entries.clear();
        weight = 0;
        ++pg::epoch; // pointers into it are no longer valid
    }
    void add(Entry entry) {
        weight += entry.access.weight();
        entries.push_front(std::move(entry));
        index.emplace(entries.front().user, entries.begin());
        tagged.emplace(entries.front().tag, entries.begin());
    }
    void drop(Place place) {
        weight -= place->access.weight();
        index.erase(place->user);
        const auto [begin, end] = tagged.equal_range(place->tag);
        tagged.erase(std::find_if(begin, end, [&](const auto &each) { return each.second == place; }));
        entries.erase(place);
        ++pg::epoch; // pointers into it are no longer valid
    }
    void drop_tagged(std::uint32_t tag) {
        for (auto found = tagged.find(tag); found != tagged.end(); found = tagged.find(tag)) drop(found->second);
    }
    void drop_oldest() { drop(std::prev(entries.end())); }
    void make_room() {
        const std::size_t limit = static_cast<std::size_t>(guc::access_cache_size) * 1024;
        while (weight > limit && entries.size() > 2) drop_oldest();
    }
};

Cache &cache() {
    static constinit Cache *instance = nullptr; // never deleted: a backend that exits must not run destructors
    if (instance == nullptr) instance = new Cache;
    return *instance;
}

} // namespace

const permission::Windows *UserAccess::windows(std::string_view permission) {
    if (const auto found = windows_.find(permission); found != windows_.end()) return &found->second;
    const auto name = permission::parse(permission);
    if (!name) return nullptr;
    if (windows_.size() >= max_windows) {
        ++pg::epoch; // whoever kept a pointer to one of them must ask again
        windows_.clear();
        cache().weight -= std::exchange(windows_weight_, 0);
    }
    const permission::Windows &made = windows_.emplace(permission, rules.windows(*name)).first->second;
    const std::size_t weight = 150 + permission.size() + made.weight();
    windows_weight_ += weight;
    cache().weight += weight;
    return &made;
}

std::size_t UserAccess::weight() const {
    return 680 + 200 * rules.size() + 120 * (roles.size() + shown.size() + manages.size() + assigned.size()) +
           windows_weight_;
}

void catch_up() {
    Cache &all = cache();
    const std::uint64_t now = changes.generation();
    changes.drain([&](std::uint32_t tag) { all.drop_tagged(tag); });
    if (all.generation == now) return;
    all.clear();
    all.generation = now;
}

UserAccess &cached(const Uuid &user) {
    Cache &all = cache();
    if (const auto found = all.index.find(user); found != all.index.end()) {
        all.entries.splice(all.entries.begin(), all.entries, found->second);
        all.make_room();
        return found->second->access;
    }
    const std::uint32_t tag = changes.tag(user);
    UserAccess fresh = read(user); // may run anything, this function included: the cache is touched only after it
    if (const auto found = all.index.find(user); found != all.index.end()) all.drop(found->second);
    all.add({user, tag, std::move(fresh)});
    all.make_room();
    return all.entries.front().access;
}

} // namespace usher::access
