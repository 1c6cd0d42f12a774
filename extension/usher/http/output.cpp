#include "usher/http/output.hpp"
#include "usher/http/answer_json.hpp"
#include "usher/operations/settings.hpp"

namespace usher::http {

namespace {
bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }

std::int64_t as_seconds(Datum value, Oid type) {
    switch (type) {
    case INT2OID: return DatumGetInt16(value);
    case INT4OID: return DatumGetInt32(value);
    case INT8OID: return DatumGetInt64(value);
    default: return 0;
    }
}

/// Columns of a single row that are not members of the object. True when the column has been dealt with.
bool take_column(const char *name, Datum value, bool is_null, Oid type, const Style &style, Output &output) {
    // A column of an application's function may have one of these names and mean something else: its type tells.
    const auto is = [name](const char *other) { return std::strcmp(name, other) == 0; };
    if (is("error") && (type == TEXTOID || type == VARCHAROID)) {
        if (!is_null) output.error = TextDatumGetCString(value);
        return true;
    }
    if (is("retry_after") && is_integer(type)) {
        if (is_null) return true;
        output.retry_after = as_seconds(value, type);
    }
    if (is("version") && !is_null && is_integer(type)) output.version = psprintf(INT64_FORMAT, as_seconds(value, type));
    if (is("replayed") && !is_null && type == BOOLOID) output.is_replayed = DatumGetBool(value);
    if (is("expires_in") && !is_null && is_integer(type)) output.expires_in = as_seconds(value, type);
    if (style.to_cookies && type == TEXTOID && (is("access_token") || is("refresh_token"))) {
        if (!is_null) (is("access_token") ? output.access_token : output.refresh_token) = TextDatumGetCString(value);
        return true;
    }
    return false;
}

void append_value(StringInfo out, Datum value, bool is_null, Oid type) {
    if (is_null)
        appendStringInfoString(out, "null");
    else
        append_json(out, value, type);
}

void append_row(StringInfo out, const TupleTableSlot *row, const Style &style, Output &output) {
    bool first = true;
    appendStringInfoChar(out, '{');
    for (int i = 0; i < row->tts_tupleDescriptor->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(row->tts_tupleDescriptor, i);
        if (column->attisdropped) continue;
        const Datum value = row->tts_values[i];
        const bool is_null = row->tts_isnull[i];
        const char *const name = NameStr(column->attname);
        if (style.is_single && take_column(name, value, is_null, column->atttypid, style, output)) continue;
        if (is_null && style.skips_nulls) continue;
        if (!first) appendStringInfoChar(out, ',');
        first = false;
        escape_json(out, name);
        appendStringInfoChar(out, ':');
        append_value(out, value, is_null, column->atttypid);
    }
    appendStringInfoChar(out, '}');
}

/// What a row says beside its `error`, a challenge for instance, as an object; nullptr when it says nothing.
char *details_of(const TupleTableSlot *row) {
    StringInfoData out;
    initStringInfo(&out);
    for (int i = 0; i < row->tts_tupleDescriptor->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(row->tts_tupleDescriptor, i);
        const char *const name = NameStr(column->attname);
        if (column->attisdropped || row->tts_isnull[i]) continue;
        if (std::strcmp(name, "error") == 0 || std::strcmp(name, "retry_after") == 0) continue;
        appendStringInfoChar(&out, out.len == 0 ? '{' : ',');
        escape_json(&out, name);
        appendStringInfoChar(&out, ':');
        append_json(&out, row->tts_values[i], column->atttypid);
    }
    if (out.len == 0) return nullptr;
    appendStringInfoChar(&out, '}');
    return out.data;
}

char *as_text(const TupleTableSlot *row, int place) {
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(TupleDescAttr(row->tts_tupleDescriptor, place)->atttypid, &function, &is_varlena);
    return OidOutputFunctionCall(function, row->tts_values[place]);
}

/// Where the next page begins.
char *key_of(const TupleTableSlot *row, const Function &function) {
    StringInfoData key;
    initStringInfo(&key);
    for (const PageKey &part : function.page) {
        const int place = SPI_fnumber(row->tts_tupleDescriptor, part.column.c_str()) - 1;
        if (place < 0 || row->tts_isnull[place]) return nullptr; // nothing follows from NULL
        appendStringInfoChar(&key, key.len == 0 ? '[' : ',');
        escape_json(&key, as_text(row, place));
    }
    appendStringInfoChar(&key, ']');
    return key.data;
}

bool is_all_null(const TupleTableSlot *row) {
    return std::all_of(row->tts_isnull, row->tts_isnull + row->tts_tupleDescriptor->natts, [](bool n) { return n; });
}

void check_size(const StringInfoData &body) {
    if (body.len / 1024 >= guc::max_answer_size)
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                errmsg("the answer is larger than usher.max_answer_size"),
                errhint("A list in pages (max_rows, after) has answers of a bounded size."));
}

void append_rows(StringInfo out, const Function &function, ResultRows &rows, std::int64_t page_size, Output &output) {
    appendStringInfoString(out, "{\"items\":[");
    while (const TupleTableSlot *const row = rows.next()) {
        check_size(*out);
        if (page_size > 0 && output.rows == static_cast<std::uint64_t>(page_size)) {
            output.has_more = true;
            break;
        }
        if (output.rows++ > 0) appendStringInfoChar(out, ',');
        if (function.is_named_column)
            append_row(out, row, {false, false, false, 0}, output);
        else
            append_value(out, row->tts_values[0], row->tts_isnull[0],
                         TupleDescAttr(row->tts_tupleDescriptor, 0)->atttypid);
        if (!function.page.empty()) output.last_key = key_of(row, function);
    }
    appendStringInfoChar(out, ']'); // succeed() adds the rest
}

void append_single(StringInfo out, const Function &function, const TupleTableSlot *row, const Style &style,
                   Output &output) {
    const Oid type = TupleDescAttr(row->tts_tupleDescriptor, 0)->atttypid;
    switch (function.result) {
    case Result::nothing:
    case Result::rows: return;
    case Result::document:
        output.is_empty = row->tts_isnull[0];
        append_value(out, row->tts_values[0], row->tts_isnull[0], type);
        return;
    case Result::file:
        output.is_empty = row->tts_isnull[0];
        if (!output.is_empty) appendStringInfoString(out, as_text(row, 0));
        return;
    case Result::scalar:
        output.is_false = type == BOOLOID && !row->tts_isnull[0] && !DatumGetBool(row->tts_values[0]);
        appendStringInfoString(out, "{\"result\":");
        append_value(out, row->tts_values[0], row->tts_isnull[0], type);
        appendStringInfoChar(out, '}');
        return;
    case Result::row:
        output.is_empty = function.is_type_of_row && is_all_null(row);
        append_row(out, row, style, output);
        if (output.error != nullptr) output.details = details_of(row);
        return;
    }
}
} // namespace

Output make_output(const Function &function, ResultRows &rows, const Style &style) {
    Output output;
    StringInfoData text;
    initStringInfo(&text);
    if (function.result == Result::rows)
        append_rows(&text, function, rows, style.page_size, output);
    else if (const TupleTableSlot *const row = rows.next())
        append_single(&text, function, row, style, output);
    check_size(text);
    output.json = text.data;
    return output;
}

} // namespace usher::http
