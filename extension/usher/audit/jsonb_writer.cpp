#include "usher/audit/jsonb_writer.hpp"
#include "common/encoding.hpp"
#include "common/json.hpp"
#include "pg/jsonb_format.hpp"
#include "pg/subxact.hpp"
#include "usher/audit/jsonb_builder.hpp"
#include "usher/audit/value_text.hpp"
#include "usher/operations/settings.hpp"
#include <climits>

namespace usher::audit {

namespace {
bool is_too_large(const StringInfoData &buffer, std::size_t size) {
    return size > value_limit() || (size > always_fits && buffer.len > container_budget);
}

JEntry write_omitted(StringInfo buffer, std::size_t size) {
    return pg::jsonb_format::append_container(*buffer, JsonbValueToJsonb(omitted(size)));
}

JEntry write_nested(StringInfo buffer, const ValueType &type, Datum value, std::size_t size) {
    const Jsonb *json = nullptr;
    const auto make = [&] { json = nested_to_jsonb(type, value); };
    if (type.runs_others_code || size > surely_small)
        try_to(make);
    else
        make();
    if (json == nullptr) return write_omitted(buffer, size);
    if (buffer->len > container_budget && VARSIZE(json) > always_fits) return write_omitted(buffer, VARSIZE(json));
    return pg::jsonb_format::append_container(*buffer, json);
}

JEntry write_jsonb(StringInfo buffer, const Jsonb *json) {
    if (!JB_ROOT_IS_SCALAR(json)) return pg::jsonb_format::append_container(*buffer, json);
    JsonbValue scalar;
    JsonbExtractScalar(const_cast<JsonbContainer *>(&json->root), &scalar);
    switch (scalar.type) {
    case jbvNull: return JENTRY_ISNULL;
    case jbvBool: return scalar.val.boolean ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
    case jbvNumeric: return pg::jsonb_format::append_numeric(*buffer, scalar.val.numeric);
    default: return write_string(buffer, scalar.val.string.val, scalar.val.string.len);
    }
}
} // namespace

JEntry write_string(StringInfo buffer, const char *text, std::size_t length) {
    if (is_too_large(*buffer, length)) return write_omitted(buffer, length);
    pg::jsonb_format::append(*buffer, text, length);
    return JENTRY_ISSTRING;
}

JEntry write_value(StringInfo buffer, const ValueType &type, FmgrInfo *output, Datum value) {
    switch (type.kind) {
    case Kind::int2: return pg::jsonb_format::append_numeric(*buffer, int64_to_numeric(DatumGetInt16(value)));
    case Kind::int4: return pg::jsonb_format::append_numeric(*buffer, int64_to_numeric(DatumGetInt32(value)));
    case Kind::int8: return pg::jsonb_format::append_numeric(*buffer, int64_to_numeric(DatumGetInt64(value)));
    case Kind::boolean: return DatumGetBool(value) ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
    case Kind::numeric: {
        Numeric const number = DatumGetNumeric(value);
        if (!is_special(number)) return pg::jsonb_format::append_numeric(*buffer, number);
        const char *const text = numeric_text(number);
        return write_string(buffer, text, std::strlen(text));
    }
    case Kind::float4:
    case Kind::float8: {
        const char *const text = float_text(type, value);
        if (is_finite(type, value)) return pg::jsonb_format::append_numeric(*buffer, numeric_from(text));
        return write_string(buffer, text, std::strlen(text));
    }
    case Kind::uuid:
        enlargeStringInfo(buffer, static_cast<int>(uuid_text_length));
        write_uuid(buffer->data + buffer->len, DatumGetUUIDP(value)->data);
        buffer->len += static_cast<int>(uuid_text_length);
        return JENTRY_ISSTRING;
    case Kind::datetime: {
        const DatetimeText &found = datetime_text(type, value);
        pg::jsonb_format::append(*buffer, found.text, static_cast<std::size_t>(found.length));
        return JENTRY_ISSTRING;
    }
    default: break;
    }
    // What may be stored outside of the row is measured before it is fetched. Bytes double in length as text.
    const std::size_t size = type.is_varlena ? toast_raw_datum_size(value) - VARHDRSZ : 0;
    if (is_too_large(*buffer, type.kind == Kind::bytea ? 2 * size : size)) return write_omitted(buffer, size);
    switch (type.kind) {
    case Kind::json: {
        const text *const bytes = DatumGetTextPP(value);
        if (count_values({VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)}) > max_elements)
            return write_omitted(buffer, size);
        if (const Jsonb *const json = json_to_jsonb(bytes); json != nullptr) return write_jsonb(buffer, json);
        return write_string(buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
    }
    case Kind::text: {
        const text *const bytes = DatumGetTextPP(value);
        return write_string(buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
    }
    case Kind::jsonb: return write_jsonb(buffer, DatumGetJsonbP(value));
    case Kind::array:
    case Kind::row: return write_nested(buffer, type, value, size);
    case Kind::other:
        if (type.runs_others_code || size > surely_small) {
            const char *text = nullptr;
            // their functions anew: after an ERROR nobody knows what state the kept one is in
            if (!try_to([&] { text = value_text(type, nullptr, value); })) return write_omitted(buffer, size);
            return write_string(buffer, text, std::strlen(text));
        }
        break;
    default: break;
    }
    const char *const text = value_text(type, output, value);
    return write_string(buffer, text, std::strlen(text));
}

} // namespace usher::audit
