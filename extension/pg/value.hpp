// Values on their way into the server (parameters of statements, columns of results) and out of it.
#pragma once
#include "common/types.hpp"
#include "pg/guard.hpp"
#include <span>

namespace usher::pg {

/// A value for the server: cheap to make in any C++ frame, turned into a Datum later, inside one guarded step.
/// It points at the caller's bytes, so the caller's object must live until the call that takes the Param has returned.
struct Param {
    enum class Kind : std::uint8_t { null, datum, text, bytea, uuid, input, text_array, uuid_array };
    Oid type = InvalidOid;
    Kind kind = Kind::null;
    Datum value = 0;
    const void *data = nullptr;
    std::size_t size = 0;
};

inline Param null(Oid type) { return {.type = type}; }
/// Any Datum, by its type.
inline Param datum(Oid type, Datum value) { return {.type = type, .kind = Param::Kind::datum, .value = value}; }
inline Param boolean(bool value) { return datum(BOOLOID, BoolGetDatum(value)); }
inline Param int4(std::int32_t value) { return datum(INT4OID, Int32GetDatum(value)); }
inline Param int8(std::int64_t value) { return datum(INT8OID, Int64GetDatum(value)); }
inline Param oid(Oid value) { return datum(OIDOID, ObjectIdGetDatum(value)); }
inline Param regclass(Oid value) { return datum(REGCLASSOID, ObjectIdGetDatum(value)); }
inline Param text(std::string_view value) {
    return {.type = TEXTOID, .kind = Param::Kind::text, .data = value.data(), .size = value.size()};
}
inline Param bytea(std::string_view value) {
    return {.type = BYTEAOID, .kind = Param::Kind::bytea, .data = value.data(), .size = value.size()};
}
inline Param uuid(const Uuid &value) {
    return {.type = UUIDOID, .kind = Param::Kind::uuid, .data = value.bytes.data()};
}
/// Through the type's input function: jsonb, inet, interval … An invalid text is an ERROR of that type.
inline Param input(Oid type, std::string_view value) {
    return {.type = type, .kind = Param::Kind::input, .data = value.data(), .size = value.size()};
}
inline Param jsonb(std::string_view json) { return input(JSONBOID, json); }
inline Param inet(std::string_view address) { return input(INETOID, address); }
inline Param text_array(std::span<const std::string> values) {
    return {.type = TEXTARRAYOID, .kind = Param::Kind::text_array, .data = values.data(), .size = values.size()};
}
inline Param uuid_array(std::span<const Uuid> values) {
    return {.type = UUIDARRAYOID, .kind = Param::Kind::uuid_array, .data = values.data(), .size = values.size()};
}
Param timestamptz(Instant value);
/// A span of time as an interval of microseconds, without days or months.
Param interval(std::int64_t microseconds);

inline Param text_or_null(const std::optional<std::string> &value) { return value ? text(*value) : null(TEXTOID); }
inline Param text_or_null(const std::optional<std::string_view> &value) { return value ? text(*value) : null(TEXTOID); }
/// Empty means NULL.
inline Param text_unless_empty(std::string_view value) { return value.empty() ? null(TEXTOID) : text(value); }
inline Param inet_or_null(std::string_view value) { return value.empty() ? null(INETOID) : inet(value); }
inline Param uuid_or_null(const std::optional<Uuid> &value) { return value ? uuid(*value) : null(UUIDOID); }
/// For a pointer into something longer lived.
inline Param uuid_or_null(const Uuid *value) { return value ? uuid(*value) : null(UUIDOID); }
inline Param timestamptz_or_null(const std::optional<Instant> &value) {
    return value ? timestamptz(*value) : null(TIMESTAMPTZOID);
}

/// Makes the Datum in the current memory context. Plain frame: may raise an ERROR.
Datum to_datum(const Param &param);

/// Reads a Datum of a known type. Plain conversions, no server call that can fail; text needs a detoasted varlena.
std::string_view text_of(Datum flat_varlena);
Uuid uuid_of(Datum value);
/// Instants more than 146,000 years away, and spans longer than 73,000 years, are for ever: with the few that are added
/// to each other nothing leaves the range of an Instant.
inline constexpr std::int64_t furthest_instant = std::int64_t{1} << 62, longest_span = std::int64_t{1} << 61;
/// Plus and minus infinity are the ends of the range of an Instant.
Instant instant_of(Datum timestamptz_value);
TimestampTz timestamp_of(Instant value);
/// Microseconds of an interval, at most longest_span; a month counts 30 days, as in the server's own comparison.
std::int64_t microseconds_of(Datum interval_value);

/// The random part of an id: unique, not secret. Plain frame.
std::array<std::uint8_t, 8> unique_bits();
/// A version 7 uuid of now.
Uuid new_uuid();

/// The transaction's clock (now()) and the clock of the wall.
Instant transaction_time();
Instant statement_time();
Instant clock_time();

} // namespace usher::pg
