// usher.enforce(): policy models over the rows of usher.policy_rules.
#include "core/policy.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include <map>

using namespace usher;

namespace {

constexpr auto latest = pg::Access::latest;
constinit pg::Statement find_model{"SELECT m.definition FROM usher.policy_models m WHERE m.name OPERATOR(pg_catalog.=) $1", latest};

// As deep as Casbin's role manager goes; also what ends a cycle.
constinit pg::Statement find_groups{
    "WITH RECURSIVE up (name, depth) AS ("
    " SELECT $2, 0 UNION"
    " SELECT g.v1, up.depth OPERATOR(pg_catalog.+) 1 FROM up JOIN usher.policy_rules g ON g.ptype OPERATOR(pg_catalog.=) $1"
    " AND g.v0 OPERATOR(pg_catalog.=) up.name AND g.is_active AND coalesce(g.v2, '') OPERATOR(pg_catalog.=) $3"
    " WHERE up.depth OPERATOR(pg_catalog.<) 10)"
    " SELECT up.name FROM up WHERE up.name IS NOT NULL GROUP BY up.name ORDER BY pg_catalog.min(up.depth), up.name",
    latest};

/// The statement for constraints on a set of columns, made once per set.
pg::Statement &rows_statement(unsigned columns) {
    static constinit std::array<pg::Statement *, 1U << policy::max_columns> made{};
    if (made[columns] == nullptr) {
        auto *const sql = new std::string("SELECT coalesce(p.v0, ''), coalesce(p.v1, ''), coalesce(p.v2, ''), coalesce(p.v3, ''),"
                                          " coalesce(p.v4, ''), coalesce(p.v5, '') FROM usher.policy_rules p WHERE p.ptype OPERATOR(pg_catalog.=) 'p' AND p.is_active");
        int parameter = 0;
        for (std::size_t column = 0; column < policy::max_columns; ++column)
            if (columns & (1U << column))
                *sql += " AND p.v" + std::to_string(column) + " OPERATOR(pg_catalog.=) ANY ($" + std::to_string(++parameter) + ")";
        *sql += " ORDER BY p.id";
        made[columns] = new pg::Statement(sql->c_str(), latest); // kept with its text for the life of the backend
    }
    return *made[columns];
}

class TableStore : public policy::Store {
public:
    std::vector<policy::Columns> rows(const std::vector<policy::Constraint> &constraints) override {
        unsigned columns = 0;
        std::array<const policy::Constraint *, policy::max_columns> by_column{};
        for (const policy::Constraint &each : constraints) {
            // A missing value counts as empty text, which no index knows; the matcher will look at such rows itself.
            const bool empty = std::find(each.any_of.begin(), each.any_of.end(), "") != each.any_of.end();
            if (empty || by_column[each.column] != nullptr) continue;
            by_column[each.column] = &each;
            columns |= 1U << each.column;
        }
        std::vector<pg::Param> params;
        for (const policy::Constraint *each : by_column)
            if (each != nullptr) params.push_back(pg::text_array(each->any_of));
        const pg::Rows found = rows_statement(columns).run(params);
        std::vector<policy::Columns> out(found.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
            pg::poll();
            for (std::size_t column = 0; column < policy::max_columns; ++column) out[i][column] = found[i].text(static_cast<int>(column));
        }
        return out;
    }

    std::vector<std::string> groups(std::string_view ptype, const std::string &member, const std::string &domain) override {
        const pg::Rows found = find_groups.run({pg::text(ptype), pg::text(member), pg::text(domain)});
        std::vector<std::string> out;
        for (std::size_t i = 0; i < found.size(); ++i) out.push_back(found[i].string(0));
        return out;
    }

    bool regex_match(std::string_view text, const std::string &pattern) override {
        pg::poll();
        return pg::call([&] { // the server's engine keeps compiled patterns, checks its stack and can be cancelled
            const Datum subject = PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
            const Datum expression = PointerGetDatum(cstring_to_text_with_len(pattern.data(), static_cast<int>(pattern.size())));
            return DatumGetBool(DirectFunctionCall2Coll(textregexeq, C_COLLATION_OID, subject, expression));
        });
    }
};

/// Models that this backend has read, by their text.
const policy::Model &parsed(const std::string &text) {
    using Models = std::map<std::string, policy::Model, std::less<>>;
    static constinit Models *models = nullptr; // never deleted
    if (models == nullptr) models = new Models;
    if (const auto found = models->find(text); found != models->end()) return found->second;
    policy::Model model = policy::parse_model(text);
    if (models->size() >= 32) models->clear();
    return models->emplace(text, std::move(model)).first->second;
}

/// The text itself, or that of the model with this name.
std::string model_text(std::string_view model) {
    if (model.find_first_of("={") != std::string_view::npos) return std::string(model);
    const pg::Rows rows = find_model.run({pg::text(model)});
    if (rows.empty()) throw Error(errc::unknown_reference, "policy model does not exist", {}, "Define it with usher.define_model(), or pass its text.");
    return rows.front().string(0);
}

} // namespace

/// usher.enforce(model, request)
USHER_FUNCTION(usher_access_enforce) {
    const pg::Args args(fcinfo);
    if (args.is_null(0) || args.is_null(1)) return BoolGetDatum(false);
    const pg::AsOwner owner;
    const std::vector<std::string> request = args.text_array(1);
    TableStore store;
    return BoolGetDatum(policy::enforce(parsed(model_text(args.text(0))), request, store));
}

/// usher._check_model(definition)
USHER_FUNCTION(usher_access_check_model) {
    const pg::Args args(fcinfo);
    policy::parse_model(args.text(0));
    return pg::null_result(fcinfo);
}
