#include "usher/http/function.hpp"
#include "pg/guard.hpp"

namespace usher::http {

namespace {
[[noreturn]] void refuse(const std::string &why) {
    throw Error(errc::invalid_argument, "function cannot be routed: " + why);
}

struct Raw { // what the catalog says, palloc'd
    char *name;
    int count;
    Oid *types;
    char **names;
    char *modes;
    int inputs;
    MemoryContext memory; // holds what follows
    List *defaults;       // of the last arguments
    Oid result;
    bool is_set, is_volatile;
    char kind;
    bool is_composite; // the result has columns
    char *media_type;  // a domain over text with a slash in its name is one
    char **columns;    // of the result, when it has some
    int column_count;
};

void read_defaults(HeapTuple tuple, Raw &raw) {
    bool is_null;
    const Datum written = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &is_null);
    if (is_null) return;
    raw.memory = AllocSetContextCreate(CurrentMemoryContext, "usher routed function", ALLOCSET_SMALL_SIZES);
    const MemoryContext outer = MemoryContextSwitchTo(raw.memory);
    raw.defaults = static_cast<List *>(stringToNode(TextDatumGetCString(written)));
    MemoryContextSwitchTo(outer);
}

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
        raw.result = proc->prorettype;
        raw.is_set = proc->proretset;
        raw.is_volatile = proc->provolatile == PROVOLATILE_VOLATILE;
        raw.kind = proc->prokind;
        read_defaults(tuple, raw);
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
        } else if (char *const name = get_func_result_name(function); name != nullptr) {
            raw.columns = static_cast<char **>(palloc(sizeof(char *)));
            raw.columns[raw.column_count++] = name;
        }
        if (raw.memory != nullptr) MemoryContextSetParent(raw.memory, CacheMemoryContext); // nothing fails any more
        return raw;
    });
}

Argument make_argument(const char *name, Oid type, const Expr *default_value) {
    Argument argument{name, describe_type(type), default_value};
    if (argument.value.shape == Shape::array) {
        const Shape element = argument.value.elements.front().shape;
        if (element == Shape::array || element == Shape::object)
            refuse("argument " + argument.name + " is an array of " + (element == Shape::object ? "rows" : "arrays"));
    }
    return argument;
}

bool is_secret(std::string_view column) {
    constexpr std::array<std::string_view, 8> names{"access_token", "refresh_token", "token",          "secret",
                                                    "api_key",      "client_secret", "recovery_codes", "csrf_token"};
    return std::find(names.begin(), names.end(), column) != names.end();
}

// The default of max_rows when it is written as a number, as it always is.
std::int64_t default_number(const Argument &argument) {
    if (!argument.has_default() || !IsA(argument.default_value, Const)) return 0;
    const auto *const written = reinterpret_cast<const Const *>(argument.default_value);
    if (written->constisnull) return 0;
    switch (written->consttype) {
    case INT2OID: return DatumGetInt16(written->constvalue);
    case INT4OID: return DatumGetInt32(written->constvalue);
    case INT8OID: return DatumGetInt64(written->constvalue);
    default: return 0;
    }
}

// after pairs with the column id or, without one, with the first; after_x with x; after_id like after.
void find_page(const Raw &raw, Function &function) {
    const Argument *const size = function.find("max_rows");
    if (!raw.is_set || raw.column_count == 0 || size == nullptr || size->value.shape != Shape::integer) return;
    if (function.find("cursor") != nullptr) return;
    const std::vector<std::string> columns(raw.columns, raw.columns + raw.column_count);
    const auto has = [&](const std::string &name) {
        return std::find(columns.begin(), columns.end(), name) != columns.end();
    };
    for (std::size_t i = 0; i < function.arguments.size(); ++i) {
        const Argument &argument = function.arguments[i];
        if (!argument.has_default() || (argument.name != "after" && !argument.name.starts_with("after_"))) continue;
        const std::string wanted = argument.name == "after" ? "id" : argument.name.substr(6);
        if (wanted != "id" && !has(wanted)) continue; // a filter whose name begins like that
        function.page.push_back({i, has(wanted) ? wanted : columns.front()});
    }
    function.default_page_size = default_number(*size);
}
} // namespace

const Argument *Function::find(std::string_view argument) const {
    const auto found =
        std::find_if(arguments.begin(), arguments.end(), [&](const Argument &a) { return a.name == argument; });
    return found == arguments.end() ? nullptr : &*found;
}

Function describe(Oid oid) {
    const Raw raw = read_catalog(oid);
    Function function{};
    function.memory.reset(raw.memory);
    if (raw.kind != PROKIND_FUNCTION) refuse("it is a procedure, an aggregate or a window function");
    if (raw.inputs > static_cast<int>(max_arguments)) refuse("it has more than 64 arguments");
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
        const int place = inputs - (raw.inputs - list_length(raw.defaults));
        const void *const default_value = place < 0 ? nullptr : list_nth(raw.defaults, place);
        function.arguments.push_back(
            make_argument(raw.names[i], raw.types[i], static_cast<const Expr *>(default_value)));
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
    function.is_type_of_row = function.result == Result::row && outputs == 0;
    function.is_named_column =
        function.is_named_column || raw.is_composite; // of sets: items are objects, not bare values
    for (int i = 0; i < raw.column_count; ++i) function.shows_secrets |= is_secret(raw.columns[i]);
    for (int i = 0; i < raw.count && raw.modes != nullptr; ++i)
        function.shows_secrets |= raw.modes[i] != PROARGMODE_IN && raw.names != nullptr && is_secret(raw.names[i]);
    find_page(raw, function);
    return function;
}

} // namespace usher::http
