#include "usher_loyalty/rules/kept_rules.hpp"
#include <unordered_map>

namespace usher::loyalty {

namespace {
constinit Statement find_rules{R"(
    SELECT r.code, r.rule_version, r.condition, r.points, r.counts OPERATOR(pg_catalog.=) 'line', r.max_points,
           r.valid_from, r.valid_until, r.max_in_period, r.period, r.expires_after::pg_catalog.text, r.time_zone
    FROM @.earning_rules AS r
    WHERE r.event OPERATOR(pg_catalog.=) $1
    ORDER BY r.code, r.rule_version DESC)",
                               pg::Access::latest};

// Of one schema; good as long as nothing is announced about any relation, which a change of the rules does.
struct Cache {
    std::unordered_map<std::string, std::vector<KeptRule>> rules;
    std::uint64_t changes = 0, schema = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding

bool asks_the_clock(const expression::Node &node) {
    if (node.kind == expression::Node::Kind::path && node.path[0] == "r" &&
        (node.path[1] == "weekday" || node.path[1] == "hour" || node.path[1] == "date"))
        return true;
    return std::any_of(node.children.begin(), node.children.end(), asks_the_clock);
}

std::vector<KeptRule> load(const Schema &schema, std::string_view event) {
    const pg::AsOwner owner;
    const pg::Rows rows = find_rules.run(schema, {pg::text(event)});
    std::vector<KeptRule> out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        KeptRule kept;
        kept.code = row.string(0);
        kept.version = row.int4(1);
        kept.rule = parse_rule(row.text(2), row.text(3), row.boolean(4),
                               row.is_null(5) ? std::nullopt : std::optional(row.int8(5)));
        kept.valid_from = row.time(6);
        kept.valid_until = row.optional_time(7);
        if (!row.is_null(8)) kept.max_in_period = row.int8(8);
        kept.period = row.optional_text(9);
        kept.expires_after = row.optional_text(10);
        kept.zone = row.string(11);
        kept.asks_the_clock = asks_the_clock(kept.rule.condition) || asks_the_clock(kept.rule.points);
        out.push_back(std::move(kept));
    }
    return out;
}
} // namespace

const std::vector<KeptRule> &rules_of(const Schema &schema, std::string_view event) {
    if (cache == nullptr) cache = new Cache;
    const std::uint64_t changes = pg::call([] {
        AcceptInvalidationMessages();
        return pg::relation_changes();
    });
    if (cache->changes != changes || cache->schema != schema.generation()) cache->rules.clear();
    cache->changes = changes; // first: what is announced while it is read counts
    cache->schema = schema.generation();
    const std::string name(event);
    if (const auto found = cache->rules.find(name); found != cache->rules.end()) return found->second;
    return cache->rules[name] = load(schema, event);
}

} // namespace usher::loyalty

/// _announce_rules(): AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE on earning_rules
USHER_FUNCTION(usher_loyalty_announce_rules) { return usher::kit::announce_table(fcinfo); }
