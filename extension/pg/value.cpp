#include "pg/value.hpp"

namespace usher::pg {

namespace {
constexpr std::int64_t epoch_shift = // from the server's epoch (2000-01-01) to Unix's
    static_cast<std::int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

Datum from_input(const Param &param) {
    Oid function, io_param;
    getTypeInputInfo(param.type, &function, &io_param);
    char *const text = pnstrdup(static_cast<const char *>(param.data), param.size);
    return OidInputFunctionCall(function, text, io_param, -1);
}

Datum text_array_datum(const std::string *values, std::size_t count) {
    auto *const elements = static_cast<Datum *>(palloc(sizeof(Datum) * std::max<std::size_t>(count, 1)));
    for (std::size_t i = 0; i < count; ++i)
        elements[i] = PointerGetDatum(cstring_to_text_with_len(values[i].data(), static_cast<int>(values[i].size())));
    return PointerGetDatum(construct_array(elements, static_cast<int>(count), TEXTOID, -1, false, TYPALIGN_INT));
}

Datum uuid_array_datum(const Uuid *values, std::size_t count) {
    auto *const elements = static_cast<Datum *>(palloc(sizeof(Datum) * std::max<std::size_t>(count, 1)));
    for (std::size_t i = 0; i < count; ++i) elements[i] = PointerGetDatum(values[i].bytes.data());
    return PointerGetDatum(construct_array(elements, static_cast<int>(count), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}
} // namespace

Instant instant_of(Datum timestamptz_value) {
    const TimestampTz value = DatumGetTimestampTz(timestamptz_value);
    // minus and plus infinity: the ends of the range in both scales
    if (value <= -furthest_instant) return DT_NOBEGIN;
    if (value >= furthest_instant) return DT_NOEND;
    return value + epoch_shift;
}

TimestampTz timestamp_of(Instant value) {
    if (value <= DT_NOBEGIN + epoch_shift) return DT_NOBEGIN;
    return TIMESTAMP_NOT_FINITE(value) ? value : value - epoch_shift;
}

Param timestamptz(Instant value) { return datum(TIMESTAMPTZOID, TimestampTzGetDatum(timestamp_of(value))); }

Param interval(std::int64_t microseconds) {
    return {.type = INTERVALOID, .kind = Param::Kind::datum, .value = static_cast<Datum>(microseconds), .size = 1};
}

Datum to_datum(const Param &param) {
    const auto *const bytes = static_cast<const char *>(param.data);
    switch (param.kind) {
    case Param::Kind::null: return 0;
    case Param::Kind::datum:
        if (param.type == INTERVALOID && param.size == 1) {
            auto *const value = static_cast<Interval *>(palloc0(sizeof(Interval)));
            value->time = static_cast<TimeOffset>(param.value);
            return PointerGetDatum(value);
        }
        return param.value;
    case Param::Kind::text: pg_verifymbstr(bytes, static_cast<int>(param.size), false); [[fallthrough]];
    case Param::Kind::bytea: return PointerGetDatum(cstring_to_text_with_len(bytes, static_cast<int>(param.size)));
    case Param::Kind::uuid: {
        auto *const copy = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
        std::memcpy(copy->data, bytes, UUID_LEN);
        return PointerGetDatum(copy);
    }
    case Param::Kind::input: return from_input(param);
    case Param::Kind::text_array: return text_array_datum(static_cast<const std::string *>(param.data), param.size);
    case Param::Kind::uuid_array: return uuid_array_datum(static_cast<const Uuid *>(param.data), param.size);
    }
    return 0;
}

std::string_view text_of(Datum flat_varlena) {
    const auto *const value = reinterpret_cast<const varlena *>(DatumGetPointer(flat_varlena));
    return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

Uuid uuid_of(Datum value) {
    Uuid id;
    std::memcpy(id.bytes.data(), DatumGetUUIDP(value)->data, UUID_LEN);
    return id;
}

std::int64_t microseconds_of(Datum interval_value) {
    const Interval *const value = DatumGetIntervalP(interval_value);
    const std::int64_t days = static_cast<std::int64_t>(value->month) * DAYS_PER_MONTH + value->day;
    std::int64_t microseconds = 0;
    const bool is_endless = __builtin_mul_overflow(days, USECS_PER_DAY, &microseconds) ||
                            __builtin_add_overflow(microseconds, value->time, &microseconds);
    if (is_endless) return days < 0 ? -longest_span : longest_span;
    return std::clamp(microseconds, -longest_span, longest_span);
}

// Asking for eight random bytes costs as much as for some hundred.
std::array<std::uint8_t, 8> unique_bits() {
    static constinit std::array<std::uint8_t, 4096> stock{};
    static constinit std::size_t used = stock.size();
    static constinit int drawn_by = 0; // a process that was forked off must not go on with its parent's
    if (used == stock.size() || drawn_by != MyProcPid) {
        if (!pg_strong_random(stock.data(), stock.size()))
            ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR), errmsg("could not generate random values"));
        used = 0;
        drawn_by = MyProcPid;
    }
    std::array<std::uint8_t, 8> random;
    std::copy_n(stock.begin() + static_cast<std::ptrdiff_t>(used), random.size(), random.begin());
    used += random.size();
    return random;
}

Uuid new_uuid() {
    const std::array<std::uint8_t, 8> random = call([] { return unique_bits(); });
    return make_uuid_v7(clock_time(), random);
}

Instant transaction_time() { return instant_of(TimestampTzGetDatum(GetCurrentTransactionStartTimestamp())); }
Instant statement_time() { return instant_of(TimestampTzGetDatum(GetCurrentStatementStartTimestamp())); }
Instant clock_time() { return instant_of(TimestampTzGetDatum(GetCurrentTimestamp())); }

} // namespace usher::pg
