#include "usher/http/value_type.hpp"
#include "pg/guard.hpp"
#include <limits>

namespace usher::http {

namespace {
struct TypeInfo {
    Oid base, element;
    char kind, *name;
    TupleDesc columns; // of a row (Shape::object), and of nothing else
};

TypeInfo look_up(Oid type) {
    return pg::call([&] {
        const Oid base = getBaseType(type);
        const char kind = get_typtype(base);
        const TupleDesc columns = kind == TYPTYPE_COMPOSITE ? lookup_rowtype_tupdesc_copy(base, -1) : nullptr;
        return TypeInfo{base, get_base_element_type(type), kind, format_type_be(type), columns};
    });
}

Shape shape_of(const TypeInfo &type) {
    switch (type.base) {
    case BOOLOID: return Shape::boolean;
    case INT2OID:
    case INT4OID:
    case INT8OID: return Shape::integer;
    case NUMERICOID:
    case FLOAT4OID:
    case FLOAT8OID: return Shape::number;
    case UUIDOID: return Shape::uuid;
    case DATEOID: return Shape::date;
    case TIMEOID: return Shape::time;
    case TIMESTAMPOID: return Shape::local_timestamp;
    case TIMESTAMPTZOID: return Shape::timestamp;
    case INTERVALOID: return Shape::duration;
    case BYTEAOID: return Shape::bytes;
    case JSONOID:
    case JSONBOID: return Shape::json;
    default: break;
    }
    if (OidIsValid(type.element)) return Shape::array;
    if (type.kind == TYPTYPE_COMPOSITE) return Shape::object;
    if (type.kind == TYPTYPE_PSEUDO)
        throw Error(errc::invalid_argument,
                    std::string("function cannot be routed: an argument has type ") + type.name);
    return Shape::string;
}

template <class T> void limit(ValueType &type) {
    type.min = std::numeric_limits<T>::min();
    type.max = std::numeric_limits<T>::max();
}

ValueType describe(Oid type, std::size_t depth) {
    if (depth == Reading::max_depth)
        throw Error(errc::invalid_argument,
                    "function cannot be routed: an argument has rows that are nested too deeply");
    const TypeInfo info = look_up(type);
    ValueType made;
    made.type = type;
    made.is_domain = info.base != type;
    made.name = info.name;
    made.shape = shape_of(info);
    if (info.base == INT2OID) limit<std::int16_t>(made);
    if (info.base == INT4OID) limit<std::int32_t>(made);
    if (info.base == INT8OID) limit<std::int64_t>(made);
    if (made.shape == Shape::array) made.elements.push_back(describe(info.element, depth + 1));
    for (int i = 0; info.columns != nullptr && i < info.columns->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(info.columns, i);
        if (!column->attisdropped)
            made.fields.push_back({NameStr(column->attname), describe(column->atttypid, depth + 1)});
    }
    return made;
}
} // namespace

ValueType describe_type(Oid type) { return describe(type, 0); }

namespace {
Datum read_text(Oid type, std::int32_t typmod, const std::string &text) {
    Oid function, parameter;
    getTypeInputInfo(type, &function, &parameter);
    return OidInputFunctionCall(function, const_cast<char *>(text.c_str()), parameter, typmod);
}

Datum read(const ValueType &type, const Given &given, std::int32_t typmod, Reading &reading);

Datum read_array(const ValueType &type, const Given &given, std::int32_t typmod, Reading &reading) {
    const ValueType &element = type.elements.front();
    const std::size_t count = given.parts.size();
    auto *const values = static_cast<Datum *>(palloc0(sizeof(Datum) * (count + 1)));
    auto *const nulls = static_cast<bool *>(palloc0(sizeof(bool) * (count + 1)));
    for (std::size_t i = 0; i < count; ++i) {
        reading.path[reading.depth++] = {nullptr, i};
        values[i] = read(element, given.parts[i], typmod, reading);
        nulls[i] = given.parts[i].is_null;
        --reading.depth;
    }
    std::int16_t length;
    bool by_value;
    char align;
    get_typlenbyvalalign(element.type, &length, &by_value, &align);
    int size = static_cast<int>(count), lower = 1;
    return PointerGetDatum(
        construct_md_array(values, nulls, count == 0 ? 0 : 1, &size, &lower, element.type, length, by_value, align));
}

// By name, in the form that the row type has now: it may have been altered since it was described.
Datum read_row(const ValueType &type, const Given &given, Reading &reading) {
    const TupleDesc columns = lookup_rowtype_tupdesc_copy(getBaseType(type.type), -1);
    auto *const values = static_cast<Datum *>(palloc0(sizeof(Datum) * (columns->natts + 1)));
    auto *const nulls = static_cast<bool *>(palloc(sizeof(bool) * (columns->natts + 1)));
    std::fill_n(nulls, columns->natts, true);
    for (std::size_t i = 0; i < type.fields.size(); ++i) {
        const ValueField &field = type.fields[i];
        const int number = SPI_fnumber(columns, field.name.c_str()) - 1;
        if (number < 0 || TupleDescAttr(columns, number)->atttypid != field.value.type)
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("type %s was altered while a value of it was read", type.name.c_str()));
        reading.path[reading.depth++] = {&field.name, 0};
        values[number] = read(field.value, given.parts[i], TupleDescAttr(columns, number)->atttypmod, reading);
        nulls[number] = given.parts[i].is_null;
        --reading.depth;
    }
    return HeapTupleGetDatum(heap_form_tuple(columns, values, nulls));
}

Datum read(const ValueType &type, const Given &given, std::int32_t typmod, Reading &reading) {
    reading.type = &type;
    Datum value = 0;
    if (given.is_null)
        value = 0;
    else if (type.shape == Shape::array)
        value = read_array(type, given, typmod, reading);
    else if (type.shape == Shape::object)
        value = read_row(type, given, reading);
    else
        value = read_text(type.type, typmod, given.text);
    reading.type = &type;
    // the input function of a domain has checked its value already, unless it was NULL or made of parts
    if (type.is_domain && (given.is_null || type.shape == Shape::array || type.shape == Shape::object))
        domain_check(value, given.is_null, type.type, nullptr, nullptr);
    return value;
}
} // namespace

Datum to_datum(const ValueType &type, const Given &given, Reading &reading) {
    check_stack_depth();
    reading.depth = 0;
    return read(type, given, -1, reading);
}

} // namespace usher::http
