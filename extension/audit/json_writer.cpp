#include "audit/json_writer.hpp"
#include "core/json.hpp"
#include "pg/guc.hpp"

namespace usher::audit {

namespace {
// A container holds 256 MB at most. Above this every larger value is left out, so that small ones still fit.
constexpr int container_budget = 100 * 1024 * 1024;
constexpr std::size_t always_fits = 256;
// Of an array or a composite value in all: NULLs take a bit there, but four bytes here, and much more on the way.
constexpr int max_elements = 2'000'000;
constinit int elements = 0; // of the value that is being written

std::size_t value_limit() { return std::size_t{1024} * static_cast<std::size_t>(guc::audit_max_value); }

bool is_too_large(const StringInfoData &buffer, std::size_t size) {
    return size > value_limit() || (size > always_fits && buffer.len > container_budget);
}

void append(StringInfo buffer, const void *bytes, std::size_t size) {
    enlargeStringInfo(buffer, static_cast<int>(size));
    std::memcpy(buffer->data + buffer->len, bytes, size);
    buffer->len += static_cast<int>(size);
}

void pad(StringInfo buffer) {
    static constexpr char zeros[4] = {};
    append(buffer, zeros, INTALIGN(buffer->len) - buffer->len);
}

JEntry write_numeric(StringInfo buffer, Numeric value) {
    pad(buffer);
    append(buffer, value, VARSIZE_ANY(value));
    return JENTRY_ISNUMERIC;
}

JEntry write_container(StringInfo buffer, const Jsonb *json) {
    pad(buffer);
    append(buffer, &json->root, VARSIZE(json) - VARHDRSZ);
    return JENTRY_ISCONTAINER;
}

void push_string(JsonbParseState **state, JsonbIteratorToken token, const char *text) {
    JsonbValue value;
    value.type = jbvString;
    value.val.string.val = const_cast<char *>(text);
    value.val.string.len = static_cast<int>(std::strlen(text));
    pushJsonbValue(state, token, &value);
}

/// {"$omitted": {"bytes": n}}
JsonbValue *omitted(std::size_t size) {
    JsonbParseState *state = nullptr;
    pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
    push_string(&state, WJB_KEY, "$omitted");
    pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
    push_string(&state, WJB_KEY, "bytes");
    JsonbValue number;
    number.type = jbvNumeric;
    number.val.numeric = int64_to_numeric(static_cast<int64>(size));
    pushJsonbValue(&state, WJB_VALUE, &number);
    pushJsonbValue(&state, WJB_END_OBJECT, nullptr);
    return pushJsonbValue(&state, WJB_END_OBJECT, nullptr);
}

JEntry write_omitted(StringInfo buffer, std::size_t size) {
    return write_container(buffer, JsonbValueToJsonb(omitted(size)));
}

bool is_special(Numeric value) { return numeric_is_nan(value) || numeric_is_inf(value); }

char *numeric_text(Numeric value) { return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value))); }

Numeric numeric_from(const char *text) {
    return DatumGetNumeric(
        DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/// Shortest text that reads back as the same number, whatever extra_float_digits says; "NaN" and "Infinity" included.
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

/// A date or time with its text. No setting has an influence on the text.
struct DatetimeText {
    Oid type;
    Datum value;
    int length;
    char text[MAXDATELEN + 1];
};

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

char *bytea_text(Datum value) {
    const bytea *const bytes = DatumGetByteaPP(value);
    const std::size_t size = VARSIZE_ANY_EXHDR(bytes);
    auto *const text = static_cast<char *>(palloc(2 * size + 3));
    text[0] = '\\';
    text[1] = 'x';
    hex_encode(VARDATA_ANY(bytes), size, text + 2);
    text[2 * size + 2] = '\0';
    return text;
}

void write_hex(char *to, const unsigned char *from, int count) {
    static constexpr char digits[] = "0123456789abcdef";
    for (int i = 0; i < count; ++i) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
}

constexpr int uuid_text_length = 36;
void uuid_to_text(Datum value, char *to) {
    const unsigned char *const bytes = DatumGetUUIDP(value)->data;
    write_hex(to, bytes, 4);
    to[8] = to[13] = to[18] = to[23] = '-';
    write_hex(to + 9, bytes + 4, 2);
    write_hex(to + 14, bytes + 6, 2);
    write_hex(to + 19, bytes + 8, 2);
    write_hex(to + 24, bytes + 10, 6);
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

/// A value of type json as jsonb; nullptr when jsonb would refuse it (duplicate keys, \\u0000, huge numbers …).
const Jsonb *json_to_jsonb(Datum value) {
    static auto *const document = new json::Document; // keeps its memory, never destroyed
    const text *const bytes = DatumGetTextPP(value);
    const std::string_view view(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
    if (!document->parse(view, {value_limit(), 64})) return nullptr;
    return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(bytes))));
}

// --- arrays and composite values, through the server's own builder ---

void push_value(JsonbParseState **state, JsonbIteratorToken token, const ValueType &type, Datum value);

/// Is there room for so many more elements?
bool count_elements(int more) {
    if (more > max_elements - elements) return false;
    elements += more;
    return true;
}

void push_null(JsonbParseState **state, JsonbIteratorToken token) {
    JsonbValue none;
    none.type = jbvNull;
    pushJsonbValue(state, token, &none);
}

void push_dimension(JsonbParseState **state, const ValueType &element, int dimension, const int *dims, int ndims,
                    const Datum *values, const bool *nulls, int *next) {
    check_stack_depth();
    pushJsonbValue(state, WJB_BEGIN_ARRAY, nullptr);
    for (int i = 0; i < dims[dimension]; ++i) {
        if (dimension + 1 < ndims)
            push_dimension(state, element, dimension + 1, dims, ndims, values, nulls, next);
        else {
            const int at = (*next)++;
            if (nulls[at])
                push_null(state, WJB_ELEM);
            else
                push_value(state, WJB_ELEM, element, values[at]);
        }
    }
    pushJsonbValue(state, WJB_END_ARRAY, nullptr);
}

bool push_array(JsonbParseState **state, const ValueType &type, Datum value) {
    ArrayType *const array = DatumGetArrayTypeP(value);
    if (!count_elements(ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)))) return false;
    std::int16_t length = 0;
    bool by_value = false;
    char align = 0;
    get_typlenbyvalalign(type.element, &length, &by_value, &align);
    Datum *values = nullptr;
    bool *nulls = nullptr;
    int count = 0, next = 0;
    deconstruct_array(array, type.element, length, by_value, align, &values, &nulls, &count);
    if (count == 0) {
        pushJsonbValue(state, WJB_BEGIN_ARRAY, nullptr);
        pushJsonbValue(state, WJB_END_ARRAY, nullptr);
        return true;
    }
    push_dimension(state, value_type(type.element), 0, ARR_DIMS(array), ARR_NDIM(array), values, nulls, &next);
    return true;
}

bool push_row(JsonbParseState **state, Datum value, bool with_virtual = true) {
    HeapTupleHeader const header = DatumGetHeapTupleHeader(value);
    const TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    if (!count_elements(desc->natts)) {
        ReleaseTupleDesc(desc);
        return false;
    }
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = header;
    pushJsonbValue(state, WJB_BEGIN_OBJECT, nullptr);
    for (int i = 0; i < desc->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (attribute->attisdropped || (!with_virtual && pg::is_virtual(*attribute))) continue;
        push_string(state, WJB_KEY, pstrdup(NameStr(attribute->attname)));
        bool is_null = false;
        const Datum field = heap_getattr(&tuple, i + 1, desc, &is_null);
        if (is_null)
            push_null(state, WJB_VALUE);
        else
            push_value(state, WJB_VALUE, value_type(attribute->atttypid), field);
    }
    pushJsonbValue(state, WJB_END_OBJECT, nullptr);
    ReleaseTupleDesc(desc);
    return true;
}

/// May the value be kept outside of its row, as something of any length?
bool is_stored_apart(const ValueType &type) {
    return type.kind == Kind::text || type.kind == Kind::bytea || type.kind == Kind::json || type.kind == Kind::jsonb ||
           type.kind == Kind::array || type.kind == Kind::row;
}

void push_jsonb(JsonbParseState **state, JsonbIteratorToken token, const Jsonb *json) {
    JsonbValue made;
    auto *const root = const_cast<JsonbContainer *>(&json->root);
    if (!JB_ROOT_IS_SCALAR(json)) { // taken apart and put together again
        made.type = jbvBinary;
        made.val.binary.data = root;
        made.val.binary.len = static_cast<int>(VARSIZE(json) - VARHDRSZ);
    } else
        JsonbExtractScalar(root, &made);
    pushJsonbValue(state, token, &made);
}

void push_value(JsonbParseState **state, JsonbIteratorToken token, const ValueType &type, Datum value) {
    check_stack_depth();
    JsonbValue made;
    const auto omit = [&] { pushJsonbValue(state, token, omitted(toast_raw_datum_size(value) - VARHDRSZ)); };
    if (is_stored_apart(type) && toast_raw_datum_size(value) > value_limit()) return omit();
    switch (type.kind) {
    case Kind::array:
        if (!push_array(state, type, value)) omit();
        return;
    case Kind::row:
        if (!push_row(state, value)) omit();
        return;
    case Kind::json:
        if (const Jsonb *const json = json_to_jsonb(value); json != nullptr)
            push_jsonb(state, token, json);
        else
            push_string(state, token, value_text(type, nullptr, value));
        return;
    case Kind::jsonb: push_jsonb(state, token, DatumGetJsonbP(value)); return;
    case Kind::boolean:
        made.type = jbvBool;
        made.val.boolean = DatumGetBool(value);
        pushJsonbValue(state, token, &made);
        return;
    case Kind::int2:
    case Kind::int4:
    case Kind::int8:
    case Kind::numeric:
    case Kind::float4:
    case Kind::float8: {
        const char *const text = value_text(type, nullptr, value);
        const bool is_number = type.kind == Kind::numeric ? !is_special(DatumGetNumeric(value))
                               : type.kind == Kind::float4 || type.kind == Kind::float8 ? is_finite(type, value)
                                                                                        : true;
        if (!is_number) {
            push_string(state, token, text);
            return;
        }
        made.type = jbvNumeric;
        made.val.numeric = numeric_from(text);
        pushJsonbValue(state, token, &made);
        return;
    }
    case Kind::text:
    case Kind::datetime:
    case Kind::uuid:
    case Kind::bytea:
    case Kind::other: push_string(state, token, value_text(type, nullptr, value)); return;
    }
}

JEntry write_nested(StringInfo buffer, const ValueType &type, Datum value) {
    JsonbParseState *state = nullptr;
    elements = 0;
    // a state begins with a container: the value stands in an array of one
    pushJsonbValue(&state, WJB_BEGIN_ARRAY, nullptr);
    push_value(&state, WJB_ELEM, type, value);
    JsonbValue *const whole = pushJsonbValue(&state, WJB_END_ARRAY, nullptr);
    const Jsonb *const json = JsonbValueToJsonb(&whole->val.array.elems[0]);
    if (is_too_large(*buffer, VARSIZE(json))) return write_omitted(buffer, VARSIZE(json));
    return write_container(buffer, json);
}

JEntry write_jsonb(StringInfo buffer, const Jsonb *json) {
    if (!JB_ROOT_IS_SCALAR(json)) return write_container(buffer, json);
    JsonbValue scalar;
    JsonbExtractScalar(const_cast<JsonbContainer *>(&json->root), &scalar);
    switch (scalar.type) {
    case jbvNull: return JENTRY_ISNULL;
    case jbvBool: return scalar.val.boolean ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
    case jbvNumeric: return write_numeric(buffer, scalar.val.numeric);
    default: return write_string(buffer, scalar.val.string.val, scalar.val.string.len);
    }
}
} // namespace

Datum row_to_jsonb(Datum row) {
    JsonbParseState *state = nullptr;
    elements = 0;
    // a state begins with a container: the value stands in an array of one
    pushJsonbValue(&state, WJB_BEGIN_ARRAY, nullptr);
    push_row(&state, row, false);
    const JsonbValue *const whole = pushJsonbValue(&state, WJB_END_ARRAY, nullptr);
    return JsonbPGetDatum(JsonbValueToJsonb(&whole->val.array.elems[0]));
}

JEntry write_string(StringInfo buffer, const char *text, std::size_t length) {
    if (is_too_large(*buffer, length)) return write_omitted(buffer, length);
    append(buffer, text, length);
    return JENTRY_ISSTRING;
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
        uuid_to_text(value, out);
        return out;
    case Kind::bytea: return bytea_text(value);
    case Kind::jsonb: return JsonbToCString(nullptr, &DatumGetJsonbP(value)->root, 0);
    case Kind::array:
    case Kind::row:
    case Kind::other: break;
    }
    return output_text(type, output, value);
}

JEntry write_value(StringInfo buffer, const ValueType &type, FmgrInfo *output, Datum value) {
    switch (type.kind) {
    case Kind::int2: return write_numeric(buffer, int64_to_numeric(DatumGetInt16(value)));
    case Kind::int4: return write_numeric(buffer, int64_to_numeric(DatumGetInt32(value)));
    case Kind::int8: return write_numeric(buffer, int64_to_numeric(DatumGetInt64(value)));
    case Kind::boolean: return DatumGetBool(value) ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
    case Kind::numeric: {
        Numeric const number = DatumGetNumeric(value);
        if (!is_special(number)) return write_numeric(buffer, number);
        const char *const text = numeric_text(number);
        return write_string(buffer, text, std::strlen(text));
    }
    case Kind::float4:
    case Kind::float8: {
        const char *const text = float_text(type, value);
        if (is_finite(type, value)) return write_numeric(buffer, numeric_from(text));
        return write_string(buffer, text, std::strlen(text));
    }
    case Kind::uuid:
        enlargeStringInfo(buffer, uuid_text_length);
        uuid_to_text(value, buffer->data + buffer->len);
        buffer->len += uuid_text_length;
        return JENTRY_ISSTRING;
    case Kind::datetime: {
        const DatetimeText &found = datetime_text(type, value);
        append(buffer, found.text, found.length);
        return JENTRY_ISSTRING;
    }
    default: break;
    }
    // What may be stored outside of the row is measured before it is fetched. Bytes double in length as text.
    if (is_stored_apart(type)) {
        const std::size_t size = toast_raw_datum_size(value) - VARHDRSZ;
        if (is_too_large(*buffer, type.kind == Kind::bytea ? 2 * size : size)) return write_omitted(buffer, size);
    }
    switch (type.kind) {
    case Kind::json:
        if (const Jsonb *const json = json_to_jsonb(value); json != nullptr) return write_jsonb(buffer, json);
        [[fallthrough]];
    case Kind::text: {
        const text *const bytes = DatumGetTextPP(value);
        return write_string(buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
    }
    case Kind::jsonb: return write_jsonb(buffer, DatumGetJsonbP(value));
    case Kind::array:
    case Kind::row: return write_nested(buffer, type, value);
    default: {
        const char *const text = value_text(type, output, value);
        return write_string(buffer, text, std::strlen(text));
    }
    }
}

} // namespace usher::audit
