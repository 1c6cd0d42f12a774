#include "usher/audit/value_text.hpp"
#include "common/encoding.hpp"

namespace usher::audit {

namespace {
// Keys larger than this are not fetched to be made out by their digest.
constexpr std::size_t max_key = std::size_t{64} * 1024 * 1024;
constexpr const char *unknown_key = "$omitted";

char *bytea_text(Datum value) {
    const bytea *const bytes = DatumGetByteaPP(value);
    const std::size_t size = VARSIZE_ANY_EXHDR(bytes);
    auto *const text = static_cast<char *>(palloc(2 * size + 3));
    text[0] = '\\';
    text[1] = 'x';
    ::hex_encode(VARDATA_ANY(bytes), size, text + 2);
    text[2 * size + 2] = '\0';
    return text;
}

// The type "char" holds any byte; those above 127 are no characters of their own.
char *char_text(Datum value) {
    const auto byte = static_cast<unsigned char>(DatumGetChar(value));
    if (byte >= 0x80) return psprintf("\\%03o", byte);
    return byte == 0 ? pstrdup("") : psprintf("%c", byte);
}

char *output_text(const ValueType &type, FmgrInfo *output, Datum value) {
    if (type.base == CHAROID) return char_text(value);
    return output != nullptr ? OutputFunctionCall(output, value) : OidOutputFunctionCall(type.output, value);
}

} // namespace

char *numeric_text(Numeric value) { return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value))); }

Numeric numeric_from(const char *text) {
    return DatumGetNumeric(
        DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

char *float_text(const ValueType &type, Datum value) {
    auto *const text = static_cast<char *>(palloc(DOUBLE_SHORTEST_DECIMAL_LEN));
    if (type.kind == Kind::float4)
        float_to_shortest_decimal_buf(DatumGetFloat4(value), text);
    else
        double_to_shortest_decimal_buf(DatumGetFloat8(value), text);
    return text;
}

bool is_finite(const ValueType &type, Datum value) {
    return type.kind == Kind::float4 ? std::isfinite(DatumGetFloat4(value)) : std::isfinite(DatumGetFloat8(value));
}

/// Rows of a statement often have the same instant, in several columns even: the last texts are kept.
const DatetimeText &datetime_text(const ValueType &type, Datum value) {
    static constinit DatetimeText kept[8] = {};
    // timetz is passed by reference: its Datum says where it is, not what, so its text serves once
    const bool is_kept = type.base != TIMETZOID;
    DatetimeText &found = kept[is_kept ? 1 + (value ^ value >> 20) % 7 : 0];
    if (is_kept && found.type == type.base && found.value == value) return found;
    found.type = InvalidOid; // until the text is whole: what cannot be written is an ERROR
    const int utc = 0;
    JsonEncodeDateTime(found.text, value, type.base, type.base == TIMESTAMPTZOID ? &utc : nullptr);
    found.length = static_cast<int>(std::strlen(found.text));
    found.value = value;
    found.type = type.base;
    return found;
}

char *value_text(const ValueType &type, FmgrInfo *output, Datum value) {
    char *out = nullptr;
    switch (type.kind) {
    case Kind::int2:
    case Kind::int4:
    case Kind::int8:
        out = static_cast<char *>(palloc(MAXINT8LEN + 1));
        pg_lltoa(type.kind == Kind::int2   ? DatumGetInt16(value)
                 : type.kind == Kind::int4 ? DatumGetInt32(value)
                                           : DatumGetInt64(value),
                 out);
        return out;
    case Kind::float4:
    case Kind::float8: return float_text(type, value);
    case Kind::numeric: return numeric_text(DatumGetNumeric(value));
    case Kind::json:
    case Kind::text: return TextDatumGetCString(value);
    case Kind::boolean: return pstrdup(DatumGetBool(value) ? "true" : "false");
    case Kind::datetime: return pstrdup(datetime_text(type, value).text);
    case Kind::uuid:
        out = static_cast<char *>(palloc0(uuid_text_length + 1));
        write_uuid(out, DatumGetUUIDP(value)->data);
        return out;
    case Kind::bytea: return bytea_text(value);
    case Kind::jsonb: return JsonbToCString(nullptr, &DatumGetJsonbP(value)->root, 0);
    case Kind::array:
    case Kind::row:
    case Kind::other: break;
    }
    return output_text(type, output, value);
}

const char *key_text(const ValueType &type, FmgrInfo *output, Datum value) {
    const std::size_t size = type.is_varlena ? toast_raw_datum_size(value) - VARHDRSZ : 0;
    if (size > max_key) return unknown_key;
    if (!type.runs_others_code && size <= surely_small) return value_text(type, output, value);
    const char *text = nullptr;
    return try_to([&] { text = value_text(type, nullptr, value); }) ? text : unknown_key;
}

const char *key_text(const Jsonb *key) {
    auto *const root = const_cast<JsonbContainer *>(&key->root);
    if (VARSIZE(key) <= surely_small) return JsonbToCString(nullptr, root, 0);
    const char *text = nullptr;
    return try_to([&] { text = JsonbToCString(nullptr, root, 0); }) ? text : unknown_key;
}

} // namespace usher::audit
