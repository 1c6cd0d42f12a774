#include "pg/args.hpp"
#include "common/json_object.hpp"

namespace usher::pg {

std::string_view Args::text(int i) const {
    const Datum value = required(i);
    return text_of(call([&] { return PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)); }));
}

Oid Args::type(int i) const {
    return call([&] { return get_fn_expr_argtype(fcinfo_->flinfo, i); });
}

std::string Args::output(int i) const {
    const Datum value = required(i);
    const char *const text = call([&] {
        Oid type_oid = get_fn_expr_argtype(fcinfo_->flinfo, i);
        if (!OidIsValid(type_oid)) { // called without an expression: ask the catalog
            Oid *types;
            int count;
            get_func_signature(fcinfo_->flinfo->fn_oid, &types, &count);
            if (i >= count) elog(ERROR, "no such argument");
            type_oid = types[i];
        }
        Oid function;
        bool is_varlena;
        getTypeOutputInfo(type_oid, &function, &is_varlena);
        return OidOutputFunctionCall(function, value);
    });
    return text;
}

namespace {
struct Elements {
    Datum *values;
    bool *nulls;
    int count;
};

Elements elements_of(Datum array, Oid type) {
    return call([&] {
        Elements e{};
        int16 length;
        bool by_value;
        char align;
        get_typlenbyvalalign(type, &length, &by_value, &align);
        deconstruct_array(DatumGetArrayTypeP(array), type, length, by_value, align, &e.values, &e.nulls, &e.count);
        return e;
    });
}

void refuse_null_elements(const Elements &e, const std::string &name) {
    if (std::any_of(e.nulls, e.nulls + e.count, [](bool null) { return null; }))
        throw Error(errc::invalid_argument, name + " must not contain null",
                    json::Object().add("argument", name).text());
}
} // namespace

std::vector<std::string> Args::text_array(int i) const {
    const Elements e = elements_of(required(i), TEXTOID);
    refuse_null_elements(e, name(i));
    std::vector<std::string> result;
    result.reserve(e.count);
    for (int n = 0; n < e.count; ++n) result.emplace_back(text_of(e.values[n]));
    return result;
}

std::vector<Uuid> Args::uuid_array(int i) const {
    const Elements e = elements_of(required(i), UUIDOID);
    refuse_null_elements(e, name(i));
    std::vector<Uuid> result;
    result.reserve(e.count);
    for (int n = 0; n < e.count; ++n) result.push_back(uuid_of(e.values[n]));
    return result;
}

std::optional<std::string_view> Args::optional_text(int i) const {
    return is_null(i) ? std::nullopt : std::optional(text(i));
}
std::optional<Uuid> Args::optional_uuid(int i) const { return is_null(i) ? std::nullopt : std::optional(uuid(i)); }
std::optional<Instant> Args::optional_time(int i) const { return is_null(i) ? std::nullopt : std::optional(time(i)); }
std::optional<std::string> Args::optional_output(int i) const {
    return is_null(i) ? std::nullopt : std::optional(output(i));
}
std::optional<std::int64_t> Args::optional_interval_us(int i) const {
    return is_null(i) ? std::nullopt : std::optional(interval_us(i));
}

std::string Args::name(int i) const {
    const char *const found = call([&]() -> const char * {
        const HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo_->flinfo->fn_oid));
        if (!HeapTupleIsValid(tuple)) return nullptr;
        Oid *types;
        char **names;
        char *modes;
        get_func_arg_info(tuple, &types, &names, &modes);
        ReleaseSysCache(tuple);
        return names != nullptr && i < fcinfo_->nargs ? names[i]
                                                      : nullptr; // input arguments come first in our functions
    });
    return found != nullptr && *found != '\0' ? std::string(found) : "argument " + std::to_string(i + 1);
}

void Args::refuse_null(int i) const {
    const std::string argument = name(i);
    throw Error(errc::invalid_argument, argument + " must not be null",
                json::Object().add("argument", argument).text());
}

} // namespace usher::pg
