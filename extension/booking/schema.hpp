// Statements on the tables of usher_booking, whose schema is the choice of the DBA.
#pragma once
#include "core/zone.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"

namespace usher::booking {

/// The schema that the called function lives in. Found by the function, never by search_path.
class Schema {
public:
    explicit Schema(FunctionCallInfo fcinfo);
    [[nodiscard]] Oid oid() const { return oid_; }
    /// Counts the schemas (and names of schemas) this backend has seen; plans are kept for one of them.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

private:
    Oid oid_;
    std::uint64_t generation_;
};

/// As pg::Statement, with `@.` in the text for the schema. Make it `static constinit` beside its use.
class Statement {
public:
    constexpr explicit Statement(const char *sql, pg::Access access = pg::Access::write) : sql_(sql), access_(access) {}
    Statement(const Statement &) = delete;
    Statement &operator=(const Statement &) = delete;
    pg::Rows run(const Schema &schema, std::initializer_list<pg::Param> params) {
        return run(schema, std::span(params.begin(), params.size()));
    }
    pg::Rows run(const Schema &schema, std::span<const pg::Param> params);

private:
    const char *sql_;
    pg::Access access_;
    pg::Statement *prepared_ = nullptr;
    std::uint64_t generation_ = 0;
};

/// Has the table ever had a row? What hardly anybody uses need not be asked every time.
bool was_ever_used(const Schema &schema, const char *table);

/// Arrays for unnest().
pg::Param time_array(const std::vector<Instant> &values);
/// A half-open tstzrange.
pg::Param time_range(const TimeRange &range);
pg::Param date(std::int32_t days_since_1970);
pg::Param date_array(const std::vector<std::int32_t> &days_since_1970);
pg::Param uuid_array_or_null(const std::vector<std::optional<Uuid>> &values);

} // namespace usher::booking
