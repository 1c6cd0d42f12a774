// Statements with kept plans, run through SPI. Values are always parameters; results are copied out.
#pragma once
#include "pg/value.hpp"

namespace usher::pg {

/// What a column of a result holds.
struct ResultColumn {
    Oid type;
    std::int16_t length;
    bool by_value;
};

/// One row of a result. Columns count from 0, in the order of the select list. A reader throws 55000 when the column
/// does not hold what it reads: somebody has altered the type of a column of ours, and its bytes mean something else.
class Row {
public:
    Row(const Datum *values, const bool *nulls, std::span<const ResultColumn> forms)
        : values_(values), nulls_(nulls), forms_(forms) {}
    [[nodiscard]] bool is_null(int column) const;
    /// Of exactly this type; throws when NULL, like every reader below.
    [[nodiscard]] Datum datum(int column, Oid type) const;
    /// Whatever it holds, NULL too, to be passed on.
    [[nodiscard]] Param param(int column) const;
    [[nodiscard]] std::string_view text(int column) const {
        return text_of(of_form(column, -1, false));
    } // text, varchar, bytea; valid as long as the result
    [[nodiscard]] std::string string(int column) const { return std::string(text(column)); }
    [[nodiscard]] Uuid uuid(int column) const { return uuid_of(of_form(column, UUID_LEN, false)); }
    [[nodiscard]] Instant time(int column) const { return instant_of(of_form(column, 8, true)); }
    [[nodiscard]] std::int64_t interval_us(int column) const { return microseconds_of(of_form(column, 16, false)); }
    [[nodiscard]] std::int32_t int4(int column) const { return DatumGetInt32(of_form(column, 4, true)); }
    [[nodiscard]] std::int64_t int8(int column) const { return DatumGetInt64(of_form(column, 8, true)); }
    [[nodiscard]] bool boolean(int column) const { return DatumGetBool(of_form(column, 1, true)); }
    [[nodiscard]] Oid oid(int column) const { return DatumGetObjectId(of_form(column, 4, true)); }
    [[nodiscard]] std::optional<std::string> optional_text(int column) const;
    [[nodiscard]] std::optional<Uuid> optional_uuid(int column) const;
    [[nodiscard]] std::optional<Instant> optional_time(int column) const;

private:
    [[nodiscard]] Datum required(int column) const;
    /// The value, stored as a reader expects it: by its length, so that a domain is as good as its base.
    [[nodiscard]] Datum of_form(int column, int length, bool by_value) const {
        const Datum value = required(column);
        const ResultColumn &form = forms_[static_cast<std::size_t>(column)];
        if (form.length != length || form.by_value != by_value) refuse_type(column);
        return value;
    }
    [[noreturn]] static void refuse_type(int column);
    const Datum *values_;
    const bool *nulls_;
    std::span<const ResultColumn> forms_;
};

/// The rows of a result, copied into the memory context that was current at the call: they live as long as that.
class Rows {
public:
    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    /// Rows that the statement touched, for statements without a result.
    [[nodiscard]] std::uint64_t processed() const { return processed_; }
    [[nodiscard]] Row operator[](std::size_t index) const;
    /// The first row; throws when there is none.
    [[nodiscard]] Row front() const { return (*this)[0]; }

private:
    friend class Statement;
    Datum *values_ = nullptr;
    bool *nulls_ = nullptr;
    ResultColumn *forms_ = nullptr;
    std::size_t count_ = 0;
    std::size_t columns_ = 0;
    std::uint64_t processed_ = 0;
};

enum class Access : std::uint8_t {
    write,  // sees the transaction's own changes, may change data
    read,   // STABLE: the snapshot of the calling query
    latest, // STABLE, for caches: what is committed now, whatever the isolation level
};

/// A statement whose plan is kept for the life of the backend. Make it `static constinit` beside its use.
/// All names in it are qualified with their schema. The types of the parameters are those of the first call.
class Statement {
public:
    static constexpr std::size_t max_params = 32;
    constexpr explicit Statement(const char *sql, Access access = Access::write) : sql_(sql), access_(access) {}
    Statement(const Statement &) = delete;
    Statement &operator=(const Statement &) = delete;

    /// Runs it; an ERROR arrives as PgError.
    Rows run(std::initializer_list<Param> params = {}) { return run(std::span(params.begin(), params.size())); }
    Rows run(std::span<const Param> params);
    /// For plain frames (triggers that stay in C style): an ERROR jumps.
    Rows run_plain(std::span<const Param> params);

private:
    const char *sql_;
    SPIPlanPtr plan_ = nullptr;
    Access access_;
};

/// Becomes the owner of the core schema while it lives, so that internal tables can be read and written from functions
/// that run as their caller, whose search_path must not choose operators, functions or types for it: that is ours
/// meanwhile. Both come back when it is destroyed, and on abort of the (sub)transaction.
class AsOwner {
public:
    AsOwner();
    ~AsOwner();
    AsOwner(const AsOwner &) = delete;
    AsOwner &operator=(const AsOwner &) = delete;

private:
    Oid user_;
    int context_;
    int settings_ = 0; // the level of those that were changed, 0 where nothing had to be
};

/// Whether a role may do what another one may: as a superuser, as that role, or as a member who inherits. Nobody but
/// superusers has the rights of a role that is not there.
bool has_rights_of(Oid role, Oid other);

/// Oid of the schema of core; throws when the extension is not installed in this database.
Oid core_schema();
/// Owner of the core schema.
Oid core_owner();
/// Oid of a table or index in the core schema, InvalidOid when there is none.
Oid core_relation(const char *name);

} // namespace usher::pg
