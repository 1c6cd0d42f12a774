#include "identity/jsonb.hpp"

#include "pg/subxact.hpp"

namespace usher::identity {

namespace {

/// Plain frame.
Datum parse(std::string_view json) {
    char *text = pnstrdup(json.data(), json.size());
    if (GetDatabaseEncoding() != PG_UTF8) text = pg_any_to_server(text, static_cast<int>(json.size()), PG_UTF8);
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}

} // namespace

std::optional<Datum> jsonb_of_claims(std::string_view json) {
    if (GetDatabaseEncoding() == PG_UTF8) return pg::call([&] { return parse(json); });
    // Other encodings lack characters, and the conversion says so with an ERROR.
    const MemoryContext target = CurrentMemoryContext;
    Datum result = 0;
    const pg::Refusal refused = pg::attempt([&] {
        result = pg::call([&] {
            const MemoryContext inside = MemoryContextSwitchTo(target);
            const Datum value = parse(json);
            MemoryContextSwitchTo(inside);
            return value;
        });
    });
    if (refused) return std::nullopt;
    return result;
}

std::string json_of_argument(Datum jsonb) {
    return pg::call([&] {
        char *const text = DatumGetCString(DirectFunctionCall1(jsonb_out, jsonb));
        return static_cast<const char *>(pg_server_to_any(text, static_cast<int>(std::strlen(text)), PG_UTF8));
    });
}

// As pg::RowBuilder, with the descriptor kept for the whole statement: many tokens are verified in one.
Datum claims_or_error(FunctionCallInfo fcinfo, std::optional<Datum> claims, std::string_view error) {
    return pg::call([&] {
        auto *desc = static_cast<TupleDesc>(fcinfo->flinfo->fn_extra);
        if (desc == nullptr) {
            const MemoryContext inside = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
            if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 2)
                elog(ERROR, "unexpected result type");
            desc = BlessTupleDesc(desc);
            fcinfo->flinfo->fn_extra = desc;
            MemoryContextSwitchTo(inside);
        }
        Datum values[2] = {claims.value_or(0), 0};
        const bool nulls[2] = {!claims.has_value(), error.empty()};
        if (!error.empty())
            values[1] = PointerGetDatum(cstring_to_text_with_len(error.data(), static_cast<int>(error.size())));
        return HeapTupleGetDatum(heap_form_tuple(desc, values, const_cast<bool *>(nulls)));
    });
}

} // namespace usher::identity
