// Statements on the tables of a feature extension, whose schema is the choice of the DBA.
#pragma once
#include "common/zone.hpp"
#include "kit/server.hpp"

namespace usher::kit {

/// The schema that the called function lives in. Found by the function, never by search_path.
class Schema {
public:
    explicit Schema(FunctionCallInfo fcinfo);
    [[nodiscard]] Oid oid() const { return oid_; }
    /// Another number for each schema, and for each name that it has had: what plans are kept by.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

private:
    friend class Statement;
    Oid oid_;
    std::uint64_t generation_;
    const NameData *name_;
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

/// The trigger functions of a feature know the tables that they are made for: throws 39P01 when one fires on another
/// table, which it would misread.
void require_table(const TriggerData *data, const Schema &schema, const char *table);

/// The number of a column of one of our tables. Throws 55000 when it does not exist, or is not of the type that the
/// extension gave it: whoever reads rows past the executor reads them by type. One that is optional may be missing, as
/// with the scripts of 0.9.0: InvalidAttrNumber.
int column_number(Relation table, const char *column, Oid type, bool is_optional = false);

/// Whether a table of ours has a column that 1.0.0 has added, and whether a function of 1.0.0 is there: this library
/// serves the scripts of 0.9.0 until ALTER EXTENSION … UPDATE, and what these have no place for is not kept. Look-ups
/// in the caches of the server.
bool has_column(const Schema &schema, const char *table, const char *column);
bool has_function(const Schema &schema, const char *name);
bool core_has_function(const char *name);

/// Has the table ever had a row? What hardly anybody uses need not be asked every time.
bool was_ever_used(const Schema &schema, const char *table);

/// Arrays for unnest().
pg::Param time_array(const std::vector<Instant> &values);
/// A half-open tstzrange.
pg::Param time_range(const TimeRange &range);
pg::Param date(std::int32_t days_since_1970);
pg::Param date_array(const std::vector<std::int32_t> &days_since_1970);
pg::Param uuid_array_or_null(const std::vector<std::optional<Uuid>> &values);

} // namespace usher::kit
