// usher.enforce(): policy models over the rows of usher.policy_rules.
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/result.hpp"
#include "usher/access/policy.hpp"
#include "usher/access/policy_csv.hpp"
#include "usher/operations/settings.hpp"
#include <map>

using namespace usher;

namespace {

constinit pg::Invalidation changes{"access_inval"};

/// Answers of the tables, kept until a rule or a model changes. When they fill their share of memory, all go at once:
/// rules are asked about again soon, and those that are not were not worth an order of use.
struct Answers {
    std::unordered_map<std::string, std::vector<std::string>> groups;   // by ptype, member and domains
    std::unordered_map<std::string, std::vector<std::string>> domains;  // by ptype
    std::unordered_map<std::string, std::vector<policy::Columns>> rows; // by ptype and constraints
    std::unordered_map<std::string, bool> has_rows;                     // by ptype
    std::unordered_map<std::string, std::string> models;                // text by name
    std::size_t weight = 0;
    std::uint64_t generation = 0;

    void clear() {
        groups.clear();
        domains.clear();
        rows.clear();
        has_rows.clear();
        models.clear();
        weight = 0;
    }
};

/// Takes in what has been announced; called once per decision, so nothing goes away in the middle of one.
Answers &answers() {
    static constinit Answers *instance = nullptr; // never deleted: a backend that exits must not run destructors
    if (instance == nullptr) instance = new Answers;
    const std::uint64_t now = changes.generation();
    if (instance->generation != now || instance->weight > static_cast<std::size_t>(guc::access_cache_size) * 1024) {
        instance->clear();
        instance->generation = now;
    }
    return *instance;
}

/// Adds a part to a key so that no two lists of parts give the same one.
void add_to_key(std::string &key, std::string_view part) {
    key += std::to_string(part.size());
    key += ':';
    key += part;
}

constexpr auto latest = pg::Access::latest;
constinit pg::Statement find_model{
    "SELECT m.definition FROM usher.policy_models m WHERE m.name OPERATOR(pg_catalog.=) $1", latest};

// As deep as Casbin's role manager goes; also what ends a cycle.
constinit pg::Statement find_groups{R"(
    WITH RECURSIVE up (name, depth) AS ( SELECT $2, 0 UNION SELECT g.v1, up.depth OPERATOR(pg_catalog.+) 1
                                         FROM up JOIN usher.policy_rules g ON g.ptype OPERATOR(pg_catalog.=) $1
                                                 AND g.v0 OPERATOR(pg_catalog.=) up.name AND g.is_active
                                                 AND ($3 IS NULL OR coalesce(g.v2, '') OPERATOR(pg_catalog.=) ANY ($3))
                                         WHERE up.depth OPERATOR(pg_catalog.<) 10)
    SELECT up.name
    FROM up
    WHERE up.name IS NOT NULL GROUP BY up.name ORDER BY pg_catalog.min(up.depth), up.name)",
                                    latest};

constinit pg::Statement find_domains{R"(
    SELECT DISTINCT coalesce(g.v2, '')
    FROM usher.policy_rules g
    WHERE g.ptype OPERATOR(pg_catalog.=) $1 AND g.is_active)",
                                     latest};
constinit pg::Statement find_any{R"(
    SELECT FROM usher.policy_rules p WHERE p.ptype OPERATOR(pg_catalog.=) $1 AND p.is_active LIMIT 1)",
                                 latest};

/// The statement for constraints on a set of columns, made once per set.
pg::Statement &rows_statement(unsigned columns) {
    static constinit std::array<pg::Statement *, 1U << policy::max_columns> made{};
    if (made[columns] == nullptr) {
        auto *const sql = new std::string(R"(
                SELECT coalesce(p.v0, ''), coalesce(p.v1, ''), coalesce(p.v2, ''), coalesce(p.v3, ''),
                       coalesce(p.v4, ''), coalesce(p.v5, '')
                FROM usher.policy_rules p
                WHERE p.ptype OPERATOR(pg_catalog.=) $1 AND p.is_active)");
        int parameter = 1;
        for (std::size_t column = 0; column < policy::max_columns; ++column)
            if (columns & (1U << column))
                *sql += " AND p.v" + std::to_string(column) + " OPERATOR(pg_catalog.=) ANY ($" +
                        std::to_string(++parameter) + ")";
        *sql += " ORDER BY p.id";
        made[columns] = new pg::Statement(sql->c_str(), latest); // kept with its text for the life of the backend
    }
    return *made[columns];
}

class TableStore : public policy::Store {
public:
    explicit TableStore(Answers &kept) : kept_(kept) {}

    std::vector<policy::Columns> rows(std::string_view ptype,
                                      const std::vector<policy::Constraint> &constraints) override {
        std::string key(ptype);
        key += ':';
        for (const policy::Constraint &each : constraints) {
            key += static_cast<char>('0' + each.column);
            for (const std::string &value : each.any_of) add_to_key(key, value);
            key += ';';
        }
        if (const auto found = kept_.rows.find(key); found != kept_.rows.end()) return found->second;
        std::vector<policy::Columns> out = read_rows(ptype, constraints);
        const std::size_t weight = 200 + key.size() + out.size() * (sizeof(policy::Columns) + 32);
        if (weight > static_cast<std::size_t>(guc::access_cache_size) * 1024 / 4)
            return out; // most of the table: not worth keeping
        kept_.weight += weight;
        return kept_.rows.emplace(std::move(key), std::move(out)).first->second;
    }

    bool has_rows(std::string_view ptype) override {
        const std::string key(ptype);
        if (const auto found = kept_.has_rows.find(key); found != kept_.has_rows.end()) return found->second;
        const bool any = !find_any.run({pg::text(ptype)}).empty();
        kept_.has_rows.emplace(key, any);
        return any;
    }

    std::vector<std::string> domains(std::string_view ptype) override {
        const std::string key(ptype);
        if (const auto found = kept_.domains.find(key); found != kept_.domains.end()) return found->second;
        std::vector<std::string> out;
        const pg::Rows found = find_domains.run({pg::text(ptype)});
        for (std::size_t i = 0; i < found.size(); ++i) out.push_back(found[i].string(0));
        kept_.weight += 200 + out.size() * 64;
        return kept_.domains.emplace(key, std::move(out)).first->second;
    }

    std::vector<std::string> groups(std::string_view ptype, const std::string &member,
                                    const std::optional<std::vector<std::string>> &domains) override {
        std::string key;
        add_to_key(key, ptype);
        add_to_key(key, member);
        if (domains)
            for (const std::string &domain : *domains) add_to_key(key, domain);
        if (const auto found = kept_.groups.find(key); found != kept_.groups.end()) return found->second;
        std::vector<std::string> out;
        const pg::Rows found = find_groups.run(
            {pg::text(ptype), pg::text(member), domains ? pg::text_array(*domains) : pg::null(TEXTARRAYOID)});
        for (std::size_t i = 0; i < found.size(); ++i) out.push_back(found[i].string(0));
        kept_.weight += 200 + key.size() + out.size() * 64;
        return kept_.groups.emplace(std::move(key), std::move(out)).first->second;
    }

    bool regex_match(std::string_view text, const std::string &pattern) override {
        pg::poll();
        return pg::call([&] { // the server's engine keeps compiled patterns, checks its stack and can be cancelled
            const Datum subject = PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
            const Datum expression =
                PointerGetDatum(cstring_to_text_with_len(pattern.data(), static_cast<int>(pattern.size())));
            return DatumGetBool(DirectFunctionCall2Coll(textregexeq, C_COLLATION_OID, subject, expression));
        });
    }

    void poll() override { pg::poll(); }

private:
    static std::vector<policy::Columns> read_rows(std::string_view ptype,
                                                  const std::vector<policy::Constraint> &constraints) {
        unsigned columns = 0;
        std::array<const policy::Constraint *, policy::max_columns> by_column{};
        for (const policy::Constraint &each : constraints) {
            // A missing value counts as empty text, which no index knows; the matcher will look at such rows itself.
            const bool empty = std::find(each.any_of.begin(), each.any_of.end(), "") != each.any_of.end();
            if (empty || by_column[each.column] != nullptr) continue;
            by_column[each.column] = &each;
            columns |= 1U << each.column;
        }
        std::vector<pg::Param> params{pg::text(ptype)};
        for (const policy::Constraint *each : by_column)
            if (each != nullptr) params.push_back(pg::text_array(each->any_of));
        const pg::Rows found = rows_statement(columns).run(params);
        std::vector<policy::Columns> out(found.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
            pg::poll();
            for (std::size_t column = 0; column < policy::max_columns; ++column)
                out[i][column] = found[i].text(static_cast<int>(column));
        }
        return out;
    }

    Answers &kept_;
};

/// Models that this backend has read, by their context and text.
const policy::Model &parsed(std::string_view context, const std::string &text) {
    using Models = std::map<std::string, policy::Model, std::less<>>;
    static constinit Models *models = nullptr; // never deleted
    if (models == nullptr) models = new Models;
    std::string key;
    add_to_key(key, context);
    key += text;
    if (const auto found = models->find(key); found != models->end()) return found->second;
    policy::Model model = policy::parse_model(text, context);
    if (models->size() >= 32) models->clear();
    return models->emplace(std::move(key), std::move(model)).first->second;
}

/// The text itself, or that of the model with this name.
std::string model_text(std::string_view model, Answers &kept) {
    if (model.find_first_of("={") != std::string_view::npos) return std::string(model);
    if (const auto found = kept.models.find(std::string(model)); found != kept.models.end()) return found->second;
    const pg::Rows rows = find_model.run({pg::text(model)});
    if (rows.empty())
        throw Error(errc::unknown_reference, "policy model does not exist", {},
                    "Define it with usher.define_model(), or pass its text.");
    kept.weight += 200 + model.size() + rows.front().text(0).size();
    return kept.models.emplace(std::string(model), rows.front().string(0)).first->second;
}

} // namespace

namespace {
template <class F> Datum enforce(FunctionCallInfo fcinfo, F &&read_model) {
    const pg::Args args(fcinfo);
    if (args.is_null(0) || args.is_null(1)) return BoolGetDatum(false);
    const pg::AsOwner owner;
    const std::vector<std::string> request = args.text_array(1);
    Answers &kept = answers();
    TableStore store(kept);
    const std::string_view context = args.optional_text(2).value_or("");
    return BoolGetDatum(policy::enforce(parsed(context, read_model(args, kept)), request, store));
}
} // namespace

/// usher.enforce(model, request, context)
USHER_FUNCTION(usher_access_enforce) {
    return enforce(fcinfo, [](const pg::Args &args, Answers &kept) { return model_text(args.text(0), kept); });
}
USHER_FUNCTION(usher_access_enforce_jsonb) {
    return enforce(fcinfo, [](const pg::Args &args, Answers &) { return args.output(0); });
}

/// usher._check_model(definition)
USHER_FUNCTION(usher_access_check_model) {
    const pg::Args args(fcinfo);
    policy::check_model(args.text(0));
    return pg::null_result(fcinfo);
}

/// usher._policy_lines(policies)
USHER_FUNCTION(usher_access_policy_lines) {
    const pg::Args args(fcinfo);
    pg::RowSet rows(fcinfo);
    for (const policy::CsvRule &rule : policy::parse_policy_csv(args.text(0))) {
        pg::poll();
        const std::vector<std::string> values(rule.values.begin() + 1, rule.values.end());
        rows.add(
            {pg::int4(static_cast<std::int32_t>(rule.line)), pg::text(rule.values.front()), pg::text_array(values)});
    }
    return rows.finish();
}
