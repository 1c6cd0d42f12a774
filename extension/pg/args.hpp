// The arguments of an SQL function. Readers without `optional_` refuse NULL with an error that names the argument.
#pragma once
#include "pg/value.hpp"

namespace usher::pg {

class Args {
public:
    explicit Args(FunctionCallInfo fcinfo) : fcinfo_(fcinfo) {}

    [[nodiscard]] bool is_null(int i) const { return i >= fcinfo_->nargs || fcinfo_->args[i].isnull; }
    /// text, varchar, bytea. Valid until the function returns.
    [[nodiscard]] std::string_view text(int i) const;
    [[nodiscard]] Uuid uuid(int i) const { return uuid_of(required(i)); }
    [[nodiscard]] bool boolean(int i) const { return DatumGetBool(required(i)); }
    [[nodiscard]] std::int32_t int4(int i) const { return DatumGetInt32(required(i)); }
    [[nodiscard]] std::int64_t int8(int i) const { return DatumGetInt64(required(i)); }
    [[nodiscard]] Oid oid(int i) const { return DatumGetObjectId(required(i)); }
    [[nodiscard]] Instant time(int i) const { return instant_of(required(i)); }
    [[nodiscard]] std::int64_t interval_us(int i) const { return microseconds_of(required(i)); }
    /// Any type in the text form of its output function: jsonb, inet …
    [[nodiscard]] std::string output(int i) const;
    [[nodiscard]] std::vector<std::string> text_array(int i) const; // refuses NULL elements
    [[nodiscard]] std::vector<Uuid> uuid_array(int i) const;        // refuses NULL elements

    [[nodiscard]] std::optional<std::string_view> optional_text(int i) const;
    [[nodiscard]] std::optional<Uuid> optional_uuid(int i) const;
    [[nodiscard]] std::optional<Instant> optional_time(int i) const;
    [[nodiscard]] std::optional<std::string> optional_output(int i) const;
    [[nodiscard]] std::optional<std::int64_t> optional_interval_us(int i) const;

    /// "password must not be null" (22023), with the argument's name in the catalog, which DETAIL has too.
    [[noreturn]] void refuse_null(int i) const;
    /// Name of the argument, or "argument N".
    [[nodiscard]] std::string name(int i) const;

private:
    [[nodiscard]] Datum required(int i) const {
        if (is_null(i)) refuse_null(i);
        return fcinfo_->args[i].value;
    }
    [[nodiscard]] Oid type(int i) const;
    FunctionCallInfo fcinfo_;
};

} // namespace usher::pg
