#include "usher/http/answer_json.hpp"

namespace usher::http {

namespace {
char *output(Datum value, Oid type) {
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(type, &function, &is_varlena);
    return OidOutputFunctionCall(function, value);
}

void append_number(StringInfo out, Datum value, Oid type) {
    const char *const text = output(value, type);
    const bool is_finite = (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] >= '0' && text[1] <= '9');
    appendStringInfoString(out, is_finite ? text : "null"); // JSON has no NaN and no Infinity, nor has the schema
}

struct Bytes { // the server's encoder takes char, and since 18 unsigned char
    const void *at;
    operator const char *() const { return static_cast<const char *>(at); }
    operator const unsigned char *() const { return static_cast<const unsigned char *>(at); }
};

void append_bytes(StringInfo out, const varlena *value) {
    const int length = static_cast<int>(VARSIZE_ANY_EXHDR(value));
    const int room = pg_b64_enc_len(length);
    appendStringInfoChar(out, '"');
    enlargeStringInfo(out, room + 1);
    const int written = pg_b64_encode(Bytes{VARDATA_ANY(value)}, length, out->data + out->len, room);
    if (written < 0) elog(ERROR, "could not encode a value");
    out->len += written;
    appendStringInfoChar(out, '"');
}

void append_time(StringInfo out, Datum value, Oid type) {
    char text[MAXDATELEN + 1];
    const int utc = 0;
    JsonEncodeDateTime(text, value, type, type == TIMESTAMPTZOID ? &utc : nullptr);
    escape_json(out, text);
}

void append_interval(StringInfo out, const Interval *value) {
    char text[MAXDATELEN + 1];
    pg_itm parts;
    interval2itm(*value, &parts);
    EncodeInterval(&parts, INTSTYLE_ISO_8601, text);
    escape_json(out, text);
}

void append_elements(StringInfo out, const Datum *values, const bool *nulls, Oid type, const int *sizes, int dimensions,
                     int &at) {
    appendStringInfoChar(out, '[');
    for (int i = 0; i < sizes[0]; ++i) {
        if (i > 0) appendStringInfoChar(out, ',');
        if (dimensions > 1)
            append_elements(out, values, nulls, type, sizes + 1, dimensions - 1, at);
        else if (nulls[at])
            appendStringInfoString(out, "null"), ++at;
        else
            append_json(out, values[at], type), ++at;
    }
    appendStringInfoChar(out, ']');
}

void append_array(StringInfo out, Datum value) {
    ArrayType *const array = DatumGetArrayTypeP(value);
    const Oid type = ARR_ELEMTYPE(array);
    std::int16_t length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    Datum *values;
    bool *nulls;
    int count, at = 0;
    deconstruct_array(array, type, length, by_value, align, &values, &nulls, &count);
    if (count == 0)
        appendStringInfoString(out, "[]");
    else
        append_elements(out, values, nulls, type, ARR_DIMS(array), ARR_NDIM(array), at);
}

void append_row(StringInfo out, Datum value) {
    const HeapTupleHeader header = DatumGetHeapTupleHeader(value);
    const TupleDesc columns =
        lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    tuple.t_data = header;
    bool first = true;
    appendStringInfoChar(out, '{');
    for (int i = 0; i < columns->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(columns, i);
        if (column->attisdropped) continue;
        if (!first) appendStringInfoChar(out, ',');
        first = false;
        escape_json(out, NameStr(column->attname));
        appendStringInfoChar(out, ':');
        bool is_null;
        const Datum each = heap_getattr(&tuple, i + 1, columns, &is_null);
        if (is_null)
            appendStringInfoString(out, "null");
        else
            append_json(out, each, column->atttypid);
    }
    appendStringInfoChar(out, '}');
    ReleaseTupleDesc(columns);
}
} // namespace

void append_json(StringInfo out, Datum value, Oid declared) {
    check_stack_depth();
    const Oid type = getBaseType(declared);
    switch (type) {
    case BOOLOID: appendStringInfoString(out, DatumGetBool(value) ? "true" : "false"); return;
    case INT2OID: appendStringInfo(out, "%d", DatumGetInt16(value)); return;
    case INT4OID: appendStringInfo(out, "%d", DatumGetInt32(value)); return;
    case INT8OID: appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value)); return;
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID: append_number(out, value, type); return;
    case BYTEAOID: append_bytes(out, reinterpret_cast<const varlena *>(PG_DETOAST_DATUM_PACKED(value))); return;
    case TEXTOID:
    case VARCHAROID: escape_json(out, TextDatumGetCString(value)); return;
    case DATEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID: append_time(out, value, type); return;
    case INTERVALOID: append_interval(out, DatumGetIntervalP(value)); return;
    case JSONOID: appendStringInfoString(out, TextDatumGetCString(value)); return;
    case JSONBOID: {
        Jsonb *const document = DatumGetJsonbP(value);
        (void)JsonbToCString(out, &document->root, VARSIZE(document));
        return;
    }
    default: break;
    }
    if (OidIsValid(get_element_type(type)))
        append_array(out, value);
    else if (type_is_rowtype(type))
        append_row(out, value);
    else
        escape_json(out, output(value, type));
}

} // namespace usher::http
