#include "pg/kept_plans.hpp"

namespace usher::pg {

SPIPlanPtr prepare_kept(const char *sql, std::span<const Oid> types) {
    SPIPlanPtr const plan = SPI_prepare(sql, static_cast<int>(types.size()), const_cast<Oid *>(types.data()));
    if (plan == nullptr) elog(ERROR, "could not prepare a statement: %s", SPI_result_code_string(SPI_result));
    SPI_keepplan(plan);
    return plan;
}

Plan make_plan(const std::string &sql, std::span<const Oid> types) {
    SPIPlanPtr const made = call([&] {
        SPI_connect();
        SPIPlanPtr const prepared = prepare_kept(sql.c_str(), types);
        SPI_finish();
        return prepared;
    });
    return {made, SPI_freeplan}; // which cannot fail: it frees memory
}

} // namespace usher::pg
