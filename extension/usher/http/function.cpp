#include "usher/http/function.hpp"
#include "pg/guard.hpp"
#include <limits>

namespace usher::http {

namespace {
constexpr int max_arguments = 64; // a plan is known by the set of its arguments, one bit each

[[noreturn]] void refuse(const std::string &why) {
    throw Error(errc::invalid_argument, "function cannot be routed: " + why);
}

struct Raw { // what the catalog says, palloc'd
    char *name;
    int count;
    Oid *types;
    char **names;
    char *modes;
    int inputs, defaults;
    Oid result;
    bool is_set, is_volatile;
    char kind;
    bool is_composite; // the result has columns
    char *media_type;  // a domain over text with a slash in its name is one
    char **columns;    // of the result, when it has some
    int column_count;
};

Raw read_catalog(Oid function) {
    return pg::call([&] {
        const HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
        if (!HeapTupleIsValid(tuple))
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function does not exist"));
        const auto *const proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
        Raw raw{};
        raw.name = quote_qualified_identifier(get_namespace_name(proc->pronamespace), NameStr(proc->proname));
        raw.count = get_func_arg_info(tuple, &raw.types, &raw.names, &raw.modes);
        raw.inputs = proc->pronargs;
        raw.defaults = proc->pronargdefaults;
        raw.result = proc->prorettype;
        raw.is_set = proc->proretset;
        raw.is_volatile = proc->provolatile == PROVOLATILE_VOLATILE;
        raw.kind = proc->prokind;
        ReleaseSysCache(tuple);
        if (get_typtype(raw.result) == TYPTYPE_DOMAIN && getBaseType(raw.result) == TEXTOID) {
            const HeapTuple domain = SearchSysCache1(TYPEOID, ObjectIdGetDatum(raw.result));
            const char *const type_name = NameStr(reinterpret_cast<Form_pg_type>(GETSTRUCT(domain))->typname);
            if (std::strchr(type_name, '/') != nullptr) raw.media_type = pstrdup(type_name);
            ReleaseSysCache(domain);
        }
        Oid type;
        TupleDesc columns;
        const TypeFuncClass result_class = get_func_result_type(function, &type, &columns);
        raw.is_composite = result_class == TYPEFUNC_COMPOSITE || result_class == TYPEFUNC_COMPOSITE_DOMAIN;
        if (raw.is_composite) {
            raw.columns = static_cast<char **>(palloc(sizeof(char *) * columns->natts));
            for (int i = 0; i < columns->natts; ++i) {
                const Form_pg_attribute column = TupleDescAttr(columns, i);
                if (!column->attisdropped) raw.columns[raw.column_count++] = pstrdup(NameStr(column->attname));
            }
        }
        return raw;
    });
}

struct TypeInfo {
    Oid base, element;
    char type, *name;
};

TypeInfo look_up_type(Oid type) {
    return pg::call([&] {
        const Oid base = getBaseType(type);
        return TypeInfo{base, get_base_element_type(type), get_typtype(base), format_type_be(type)};
    });
}

Shape shape_of(const TypeInfo &type, std::int64_t &min, std::int64_t &max) {
    const auto integer = [&](auto limits) {
        min = decltype(limits)::min();
        max = decltype(limits)::max();
        return Shape::integer;
    };
    switch (type.base) {
    case BOOLOID: return Shape::boolean;
    case INT2OID: return integer(std::numeric_limits<std::int16_t>{});
    case INT4OID: return integer(std::numeric_limits<std::int32_t>{});
    case INT8OID: return integer(std::numeric_limits<std::int64_t>{});
    case NUMERICOID:
    case FLOAT4OID:
    case FLOAT8OID: return Shape::number;
    case TIMESTAMPTZOID: return Shape::timestamp;
    case JSONOID:
    case JSONBOID: return Shape::json;
    default: break;
    }
    if (OidIsValid(type.element)) return Shape::array;
    if (type.type == TYPTYPE_COMPOSITE) return Shape::object;
    if (type.type == TYPTYPE_PSEUDO) refuse(std::string("an argument has type ") + type.name);
    return Shape::string; // text, uuid, date, interval, inet, enums, ranges …: through the type's input function
}

Argument make_argument(const char *name, Oid type, bool has_default) {
    Argument argument{};
    argument.name = name;
    argument.type = type;
    argument.has_default = has_default;
    const TypeInfo info = look_up_type(type);
    argument.type_name = info.name;
    argument.shape = shape_of(info, argument.min, argument.max);
    if (argument.shape == Shape::array) {
        argument.element_type = info.element;
        argument.element = shape_of(look_up_type(info.element), argument.min, argument.max);
        if (argument.element == Shape::array || argument.element == Shape::object)
            refuse("argument " + argument.name + " is an array of " +
                   (argument.element == Shape::object ? "rows" : "arrays"));
    }
    return argument;
}
bool is_secret(std::string_view column) {
    constexpr std::array<std::string_view, 8> names{"access_token", "refresh_token", "token",          "secret",
                                                    "api_key",      "client_secret", "recovery_codes", "csrf_token"};
    return std::find(names.begin(), names.end(), column) != names.end();
}

// The default of max_rows when it is written as a number, as it always is.
std::int64_t default_number(Oid function, int argument) {
    const char *const written = pg::call([&]() -> const char * {
        LOCAL_FCINFO(fcinfo, 2);
        InitFunctionCallInfoData(*fcinfo, nullptr, 2, InvalidOid, nullptr, nullptr);
        fcinfo->args[0] = {ObjectIdGetDatum(function), false};
        fcinfo->args[1] = {Int32GetDatum(argument), false};
        const Datum value = pg_get_function_arg_default(fcinfo);
        return fcinfo->isnull ? "" : TextDatumGetCString(value);
    });
    char *end;
    const long long number = std::strtoll(written, &end, 10);
    return end == written || *end != '\0' ? 0 : number;
}

// after pairs with the column id or, without one, with the first; after_x with x; after_id like after.
void find_page(const Raw &raw, Function &function) {
    const Argument *const size = function.find("max_rows");
    if (!raw.is_set || raw.column_count == 0 || size == nullptr || size->shape != Shape::integer) return;
    if (function.find("cursor") != nullptr) return;
    const std::vector<std::string> columns(raw.columns, raw.columns + raw.column_count);
    const auto has = [&](const std::string &name) {
        return std::find(columns.begin(), columns.end(), name) != columns.end();
    };
    for (std::size_t i = 0; i < function.arguments.size(); ++i) {
        const Argument &argument = function.arguments[i];
        if (!argument.has_default || (argument.name != "after" && !argument.name.starts_with("after_"))) continue;
        const std::string wanted = argument.name == "after" ? "id" : argument.name.substr(6);
        if (wanted != "id" && !has(wanted)) continue; // a filter whose name begins like that
        function.page.push_back({i, has(wanted) ? wanted : columns.front()});
    }
    function.default_page_size =
        default_number(function.oid, static_cast<int>(size - function.arguments.data()) + 1); // arguments count from 1
}
} // namespace

const Argument *Function::find(std::string_view argument) const {
    const auto found =
        std::find_if(arguments.begin(), arguments.end(), [&](const Argument &a) { return a.name == argument; });
    return found == arguments.end() ? nullptr : &*found;
}

Function describe(Oid oid) {
    const Raw raw = read_catalog(oid);
    if (raw.kind != PROKIND_FUNCTION) refuse("it is a procedure, an aggregate or a window function");
    if (raw.inputs > max_arguments) refuse("it has more than 64 arguments");
    Function function{};
    function.oid = oid;
    function.name = raw.name;
    function.is_volatile = raw.is_volatile;
    int inputs = 0, outputs = 0;
    bool has_unnamed_output = false;
    for (int i = 0; i < raw.count; ++i) {
        const char mode = raw.modes == nullptr ? PROARGMODE_IN : raw.modes[i];
        if (mode == PROARGMODE_VARIADIC) refuse("it has a VARIADIC argument");
        const bool is_named = raw.names != nullptr && raw.names[i][0] != '\0';
        if (mode == PROARGMODE_OUT || mode == PROARGMODE_TABLE || mode == PROARGMODE_INOUT) {
            ++outputs;
            has_unnamed_output = has_unnamed_output || !is_named;
        }
        if (mode == PROARGMODE_OUT || mode == PROARGMODE_TABLE) continue;
        if (!is_named) refuse("its arguments need names");
        function.arguments.push_back(make_argument(raw.names[i], raw.types[i], inputs >= raw.inputs - raw.defaults));
        ++inputs;
    }
    if (raw.result == RECORDOID && !raw.is_composite) refuse("its result has no column names");
    if (outputs > 1 && has_unnamed_output) refuse("its result columns need names");
    function.is_named_column = outputs == 1 && !has_unnamed_output && raw.result != JSONBOID && raw.result != JSONOID;
    if (raw.result == TRIGGEROID || raw.result == EVENT_TRIGGEROID || raw.result == INTERNALOID)
        refuse("its result is no data");
    if (raw.result == VOIDOID)
        function.result = Result::nothing;
    else if (raw.media_type != nullptr && !raw.is_set) {
        function.result = Result::file;
        function.media_type = raw.media_type;
    } else if (raw.is_set)
        function.result = Result::rows;
    else if (raw.is_composite || function.is_named_column)
        function.result = Result::row;
    else if (raw.result == JSONBOID || raw.result == JSONOID)
        function.result = Result::document;
    else
        function.result = Result::scalar;
    function.is_named_column =
        function.is_named_column || raw.is_composite; // of sets: items are objects, not bare values
    for (int i = 0; i < raw.column_count; ++i) function.shows_secrets |= is_secret(raw.columns[i]);
    for (int i = 0; i < raw.count && raw.modes != nullptr; ++i)
        function.shows_secrets |= raw.modes[i] != PROARGMODE_IN && raw.names != nullptr && is_secret(raw.names[i]);
    find_page(raw, function);
    return function;
}

} // namespace usher::http
