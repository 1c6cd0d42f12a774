// Results of SQL functions: one composite row, or a set of rows.
#pragma once
#include "pg/value.hpp"

namespace usher::pg {

/// A row for a function with OUT parameters. Columns that are not set are NULL.
///
///     pg::RowBuilder row(fcinfo);
///     row.set("user_id", pg::uuid(id));
///     return row.finish();
class RowBuilder {
public:
    explicit RowBuilder(FunctionCallInfo fcinfo);
    /// By the name of the result column, whose type must be the Param's. The bytes are copied at once.
    RowBuilder &set(const char *column, const Param &value);
    [[nodiscard]] Datum finish();

private:
    TupleDesc desc_;
    Datum *values_;
    bool *nulls_;
};

/// The rows of a set-returning function, collected in a tuplestore.
///
///     pg::RowSet rows(fcinfo);
///     rows.add({pg::text("a"), pg::int4(1)});
///     return rows.finish();
class RowSet {
public:
    explicit RowSet(FunctionCallInfo fcinfo);
    void add(std::initializer_list<Param> columns) { add(std::span(columns.begin(), columns.size())); }
    void add(std::span<const Param> columns);
    [[nodiscard]] Datum finish() const;

private:
    FunctionCallInfo fcinfo_;
};

/// Return values of scalar functions, made in the current memory context.
Datum result(const Param &value);
/// SQL NULL as the result of a scalar function.
inline Datum null_result(FunctionCallInfo fcinfo) {
    fcinfo->isnull = true;
    return 0;
}

} // namespace usher::pg
