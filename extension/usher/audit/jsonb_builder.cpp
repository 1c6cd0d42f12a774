#include "usher/audit/jsonb_builder.hpp"
#include "common/json.hpp"
#include "usher/audit/value_text.hpp"
#include "usher/operations/settings.hpp"
#include <climits>

namespace usher::audit {

namespace {
// A jsonb within an array or a composite value is taken apart; deeper ones are written as text.
constexpr int max_depth = 200;

void push_string(pg::JsonbState &state, JsonbIteratorToken token, const char *text) {
    JsonbValue value;
    value.type = jbvString;
    value.val.string.val = const_cast<char *>(text);
    value.val.string.len = static_cast<int>(std::strlen(text));
    pg::push_jsonb(state, token, &value);
}

/// A value under construction, and how much may still go into it, counted across all of its nesting: the parts of a
/// value may be compressed, each of them small enough, and all of them together far more than a jsonb can hold. Larger
/// parts that find no room are replaced by a note; small ones have room of their own, so that they stay readable beside
/// it. Where a function of it returns false the whole value is too much.
struct Builder {
    pg::JsonbState state{};
    std::size_t large, small; // bytes
    std::size_t fetched;      // bytes that may be fetched in all, whether they find room or not
    int elements = max_elements;

    bool take(int more_elements, std::size_t bytes) {
        if (more_elements > elements || bytes + entry_size > small) return false;
        elements -= more_elements;
        small -= bytes + entry_size;
        return true;
    }
    /// Is there room for a part of this size? A small one takes it from take() later.
    bool fits(std::size_t bytes) {
        if (bytes <= always_fits) return true;
        if (bytes > large || bytes > value_limit()) return false;
        large -= bytes;
        return true;
    }
    /// What is fetched stays in memory until the value is done.
    bool may_fetch(const ValueType &type, std::size_t size) {
        if (size <= always_fits) return true;
        const bool is_container = type.kind == Kind::array || type.kind == Kind::row; // its parts will ask for room
        if (size > value_limit() || size > fetched || (!is_container && size > large)) return false;
        fetched -= size;
        return true;
    }
    JsonbValue *push(JsonbIteratorToken token, JsonbValue *value = nullptr) {
        return pg::push_jsonb(state, token, value);
    }

    static constexpr std::size_t entry_size = sizeof(JEntry);
};

Builder make_builder(std::size_t limit) { return {{}, limit, limit, 4 * limit}; }

bool push_value(Builder &builder, JsonbIteratorToken token, const ValueType &type, Datum value);

bool push_null(Builder &builder, JsonbIteratorToken token) {
    JsonbValue none;
    none.type = jbvNull;
    if (!builder.take(1, 0)) return false;
    builder.push(token, &none);
    return true;
}

bool push_note(Builder &builder, JsonbIteratorToken token, std::size_t size) {
    if (builder.elements < 2 * container_elements) return false;
    builder.elements -= 2 * container_elements; // and no bytes: there is room for every note that is counted
    builder.push(token, omitted(size));
    return true;
}

bool push_text(Builder &builder, JsonbIteratorToken token, const char *text, std::size_t length) {
    if (!builder.fits(length)) return push_note(builder, token, length);
    if (!builder.take(1, length <= always_fits ? length : 0)) return false;
    JsonbValue made;
    made.type = jbvString;
    made.val.string.val = const_cast<char *>(text);
    made.val.string.len = static_cast<int>(length);
    builder.push(token, &made);
    return true;
}

bool push_text(Builder &builder, JsonbIteratorToken token, const char *text) {
    return push_text(builder, token, text, std::strlen(text));
}

bool push_number(Builder &builder, JsonbIteratorToken token, Numeric number) {
    const std::size_t size = VARSIZE_ANY(number);
    if (!builder.fits(size)) return push_note(builder, token, size);
    if (!builder.take(1, size <= always_fits ? size : 0)) return false;
    JsonbValue made;
    made.type = jbvNumeric;
    made.val.numeric = number;
    builder.push(token, &made);
    return true;
}

bool push_dimension(Builder &builder, const ValueType &element, int dimension, const int *dims, int ndims,
                    const Datum *values, const bool *nulls, int *next) {
    check_stack_depth();
    if (!builder.take(container_elements, sizeof(JsonbContainer))) return false;
    builder.push(WJB_BEGIN_ARRAY);
    for (int i = 0; i < dims[dimension]; ++i) {
        if (dimension + 1 < ndims) {
            if (!push_dimension(builder, element, dimension + 1, dims, ndims, values, nulls, next)) return false;
        } else {
            const int at = (*next)++;
            if (!(nulls[at] ? push_null(builder, WJB_ELEM) : push_value(builder, WJB_ELEM, element, values[at])))
                return false;
        }
    }
    builder.push(WJB_END_ARRAY);
    return true;
}

bool push_array(Builder &builder, JsonbIteratorToken token, const ValueType &type, Datum value) {
    ArrayType *const array = DatumGetArrayTypeP(value);
    const int items = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    if (items > builder.elements - container_elements) return push_note(builder, token, VARSIZE(array) - VARHDRSZ);
    std::int16_t length = 0;
    bool by_value = false;
    char align = 0;
    get_typlenbyvalalign(type.element, &length, &by_value, &align);
    Datum *values = nullptr;
    bool *nulls = nullptr;
    int count = 0, next = 0;
    deconstruct_array(array, type.element, length, by_value, align, &values, &nulls, &count);
    if (count == 0) {
        if (!builder.take(container_elements, sizeof(JsonbContainer))) return false;
        builder.push(WJB_BEGIN_ARRAY);
        builder.push(WJB_END_ARRAY);
        return true;
    }
    return push_dimension(builder, value_type(type.element), 0, ARR_DIMS(array), ARR_NDIM(array), values, nulls, &next);
}

bool push_fields(Builder &builder, HeapTupleHeader header, TupleDesc desc, bool with_virtual) {
    if (!builder.take(container_elements, sizeof(JsonbContainer))) return false;
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = header;
    builder.push(WJB_BEGIN_OBJECT);
    for (int i = 0; i < desc->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (attribute->attisdropped || (!with_virtual && pg::is_virtual(*attribute))) continue;
        if (!push_text(builder, WJB_KEY, pstrdup(NameStr(attribute->attname)))) return false;
        bool is_null = false;
        const Datum field = heap_getattr(&tuple, i + 1, desc, &is_null);
        if (!(is_null ? push_null(builder, WJB_VALUE)
                      : push_value(builder, WJB_VALUE, value_type(attribute->atttypid), field)))
            return false;
    }
    builder.push(WJB_END_OBJECT);
    return true;
}

bool push_row(Builder &builder, Datum value, bool with_virtual = true) {
    HeapTupleHeader const header = DatumGetHeapTupleHeader(value);
    const TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    const bool has_room = push_fields(builder, header, desc, with_virtual);
    ReleaseTupleDesc(desc);
    return has_room;
}

/// How much there is to take apart.
struct Extent {
    int elements, depth;
};

Extent measure(JsonbContainer *root) {
    Extent found{};
    int depth = 0;
    JsonbIterator *iterator = JsonbIteratorInit(root);
    JsonbValue part;
    for (;;) {
        switch (JsonbIteratorNext(&iterator, &part, false)) {
        case WJB_DONE: return found;
        case WJB_BEGIN_ARRAY:
        case WJB_BEGIN_OBJECT:
            found.elements += container_elements;
            found.depth = std::max(found.depth, ++depth);
            break;
        case WJB_END_ARRAY:
        case WJB_END_OBJECT: --depth; break;
        default: ++found.elements;
        }
    }
}

bool push_jsonb(Builder &builder, JsonbIteratorToken token, const Jsonb *json) {
    auto *const root = const_cast<JsonbContainer *>(&json->root);
    const std::size_t size = VARSIZE(json) - VARHDRSZ;
    if (JB_ROOT_IS_SCALAR(json)) {
        JsonbValue scalar;
        JsonbExtractScalar(root, &scalar);
        if (scalar.type == jbvString)
            return push_text(builder, token, scalar.val.string.val, static_cast<std::size_t>(scalar.val.string.len));
        if (scalar.type == jbvNumeric) return push_number(builder, token, scalar.val.numeric);
        if (!builder.take(1, 0)) return false;
        builder.push(token, &scalar);
        return true;
    }
    const Extent extent = measure(root);
    if (extent.depth > max_depth) return push_text(builder, token, JsonbToCString(nullptr, root, 0));
    if (extent.elements > builder.elements || !builder.fits(size)) return push_note(builder, token, size);
    if (!builder.take(extent.elements, size <= always_fits ? size : 0)) return false;
    JsonbValue made; // taken apart and put together again
    made.type = jbvBinary;
    made.val.binary.data = root;
    made.val.binary.len = static_cast<int>(size);
    builder.push(token, &made);
    return true;
}

bool push_json(Builder &builder, JsonbIteratorToken token, Datum value) {
    const text *const bytes = DatumGetTextPP(value);
    const std::string_view view(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
    if (count_values(view) > builder.elements) return push_note(builder, token, view.size());
    if (const Jsonb *const json = json_to_jsonb(bytes)) return push_jsonb(builder, token, json);
    return push_text(builder, token, view.data(), view.size());
}

bool push_value(Builder &builder, JsonbIteratorToken token, const ValueType &type, Datum value) {
    check_stack_depth();
    if (type.is_varlena) { // measured before it is fetched
        const std::size_t size = toast_raw_datum_size(value) - VARHDRSZ;
        if (!builder.may_fetch(type, size)) return push_note(builder, token, size);
    }
    switch (type.kind) {
    case Kind::array: return push_array(builder, token, type, value);
    case Kind::row: return push_row(builder, value);
    case Kind::json: return push_json(builder, token, value);
    case Kind::jsonb: return push_jsonb(builder, token, DatumGetJsonbP(value));
    case Kind::text: {
        const text *const bytes = DatumGetTextPP(value);
        return push_text(builder, token, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
    }
    case Kind::boolean: {
        JsonbValue made;
        made.type = jbvBool;
        made.val.boolean = DatumGetBool(value);
        if (!builder.take(1, 0)) return false;
        builder.push(token, &made);
        return true;
    }
    case Kind::int2: return push_number(builder, token, int64_to_numeric(DatumGetInt16(value)));
    case Kind::int4: return push_number(builder, token, int64_to_numeric(DatumGetInt32(value)));
    case Kind::int8: return push_number(builder, token, int64_to_numeric(DatumGetInt64(value)));
    case Kind::numeric: {
        Numeric const number = DatumGetNumeric(value);
        return is_special(number) ? push_text(builder, token, numeric_text(number))
                                  : push_number(builder, token, number);
    }
    case Kind::float4:
    case Kind::float8: {
        const char *const text = float_text(type, value);
        return is_finite(type, value) ? push_number(builder, token, numeric_from(text))
                                      : push_text(builder, token, text);
    }
    case Kind::datetime:
    case Kind::uuid:
    case Kind::bytea:
    case Kind::other: return push_text(builder, token, value_text(type, nullptr, value));
    }
    return false;
}

} // namespace

std::size_t value_limit() { return std::size_t{1024} * static_cast<std::size_t>(guc::audit_max_value); }

JsonbValue *omitted(std::size_t size) {
    pg::JsonbState state{};
    pg::push_jsonb(state, WJB_BEGIN_OBJECT);
    push_string(state, WJB_KEY, "$omitted");
    pg::push_jsonb(state, WJB_BEGIN_OBJECT);
    push_string(state, WJB_KEY, "bytes");
    JsonbValue number;
    number.type = jbvNumeric;
    number.val.numeric = int64_to_numeric(static_cast<int64>(size));
    pg::push_jsonb(state, WJB_VALUE, &number);
    pg::push_jsonb(state, WJB_END_OBJECT);
    return pg::push_jsonb(state, WJB_END_OBJECT);
}

// Each stands behind a bracket, a comma or a colon.
int count_values(std::string_view text) {
    std::size_t count = 0;
    bool is_quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"')
            is_quoted = !is_quoted;
        else if (is_quoted)
            i += c == '\\' ? 1 : 0;
        else
            count += c == ',' || c == ':' ? 1 : c == '[' || c == '{' ? 1 + container_elements : 0;
    }
    return static_cast<int>(std::min(count, std::size_t{INT_MAX}));
}

const Jsonb *json_to_jsonb(const text *bytes) {
    static auto *const document = new json::Document; // keeps its memory, never destroyed
    const std::string_view view(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
    // an escape may stand for a character that the database's encoding does not have
    if (GetDatabaseEncoding() != PG_UTF8 && view.find("\\u") != std::string_view::npos) return nullptr;
    const bool is_valid = document->parse(view, {value_limit(), 64});
    if (view.size() > surely_small) *document = json::Document(); // a large one's memory is not kept
    if (!is_valid) return nullptr;
    return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(bytes))));
}

const Jsonb *nested_to_jsonb(const ValueType &type, Datum value) {
    Builder builder = make_builder(value_limit());
    // a state begins with a container: the value stands in an array of one
    builder.push(WJB_BEGIN_ARRAY);
    if (!push_value(builder, WJB_ELEM, type, value)) return nullptr;
    const JsonbValue *const whole = builder.push(WJB_END_ARRAY);
    return JsonbValueToJsonb(&whole->val.array.elems[0]);
}

Datum row_to_jsonb(Datum row) {
    Builder builder = make_builder(container_budget);
    // a state begins with a container: the value stands in an array of one
    builder.push(WJB_BEGIN_ARRAY);
    if (!push_row(builder, row, false))
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("row is too large to be written as jsonb"));
    const JsonbValue *const whole = builder.push(WJB_END_ARRAY);
    return JsonbPGetDatum(JsonbValueToJsonb(&whole->val.array.elems[0]));
}

} // namespace usher::audit
