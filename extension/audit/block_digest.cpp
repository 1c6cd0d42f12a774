// The digest of a block of audit rows: an aggregate over the rows in the order of their ids.
//
// Each value goes in with its kind and length, so that no two blocks give the same bytes; numbers and times in network
// order, jsonb as text, text as UTF-8: a dump that is restored elsewhere has the same digest. The columns are found by
// name, so that a later version may add some without breaking old seals.
//
// actor_name, client_ip and user_agent stay out: usher.erase_user() empties them, and the seals must outlive that. Who
// acted is sealed by actor_id.
#include "pg/guard.hpp"
#include <openssl/evp.h>

namespace usher::audit {

namespace {
constexpr const char *columns[] = {
    "id",         "created_at", "event_type",    "action",         "severity",      "source",         "result",
    "actor_id",   "session_id", "database_user", "correlation_id", "resource_type", "resource_id",    "key",
    "old_values", "new_values", "event_data",    "error_message",  "metadata",      "transaction_id", "statement_id"};
constexpr int column_count = static_cast<int>(std::size(columns));

struct State {
    EVP_MD_CTX *digest;
    MemoryContextCallback release;
    TupleDesc desc; // of the rows; nullptr before the first
    int numbers[column_count];
    Datum *values;
    bool *nulls;
    StringInfoData row;
};

void release(void *state) { EVP_MD_CTX_free(static_cast<State *>(state)->digest); }

[[noreturn]] void fail() {
    ereport(ERROR, errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg("could not compute SHA-256"));
}

State *make_state(MemoryContext context) {
    MemoryContext const caller = MemoryContextSwitchTo(context);
    auto *const state = static_cast<State *>(palloc0(sizeof(State)));
    state->digest = EVP_MD_CTX_new();
    if (state->digest == nullptr) fail();
    state->release.func = release;
    state->release.arg = state;
    MemoryContextRegisterResetCallback(context, &state->release);
    if (EVP_DigestInit_ex(state->digest, EVP_sha256(), nullptr) != 1) fail();
    initStringInfo(&state->row);
    MemoryContextSwitchTo(caller);
    return state;
}

void learn_columns(State &state, HeapTupleHeader row, MemoryContext context) {
    MemoryContext const caller = MemoryContextSwitchTo(context);
    state.desc = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
    state.values = static_cast<Datum *>(palloc(sizeof(Datum) * state.desc->natts));
    state.nulls = static_cast<bool *>(palloc(sizeof(bool) * state.desc->natts));
    for (int i = 0; i < column_count; ++i) {
        state.numbers[i] = SPI_fnumber(state.desc, columns[i]) - 1;
        if (state.numbers[i] < 0)
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("audit rows have no column \"%s\"", columns[i]));
    }
    MemoryContextSwitchTo(caller);
}

void append_bytes(StringInfo row, const char *bytes, int length) {
    const uint32 size = pg_hton32(static_cast<uint32>(length));
    appendBinaryStringInfo(row, reinterpret_cast<const char *>(&size), sizeof size);
    appendBinaryStringInfo(row, bytes, length);
}

void append_text(StringInfo row, const char *text, int length) {
    const char *const utf8 = pg_server_to_any(text, length, PG_UTF8);
    append_bytes(row, utf8, utf8 == text ? length : static_cast<int>(std::strlen(utf8)));
}

void append_int8(StringInfo row, int64 value) {
    const uint64 number = pg_hton64(static_cast<uint64>(value));
    append_bytes(row, reinterpret_cast<const char *>(&number), sizeof number);
}

void append_value(StringInfo row, Oid type, Datum value) {
    switch (type) {
    case UUIDOID: return append_bytes(row, reinterpret_cast<const char *>(DatumGetUUIDP(value)->data), UUID_LEN);
    case TIMESTAMPTZOID:
    case INT8OID: return append_int8(row, DatumGetInt64(value));
    case INT4OID: return append_int8(row, DatumGetInt32(value));
    case TEXTOID: {
        const text *const flat = DatumGetTextPP(value);
        return append_text(row, VARDATA_ANY(flat), static_cast<int>(VARSIZE_ANY_EXHDR(flat)));
    }
    case JSONBOID: {
        Jsonb *const json = DatumGetJsonbP(value);
        char *const written = JsonbToCString(nullptr, &json->root, static_cast<int>(VARSIZE(json)));
        return append_text(row, written, static_cast<int>(std::strlen(written)));
    }
    default: {
        Oid output = InvalidOid;
        bool is_varlena = false;
        getTypeOutputInfo(type, &output, &is_varlena);
        const char *const written = OidOutputFunctionCall(output, value);
        return append_text(row, written, static_cast<int>(std::strlen(written)));
    }
    }
}

void add_row(State &state, HeapTupleHeader header, MemoryContext context) {
    if (state.desc == nullptr) learn_columns(state, header, context);
    HeapTupleData tuple{};
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_data = header;
    heap_deform_tuple(&tuple, state.desc, state.values, state.nulls);
    resetStringInfo(&state.row);
    for (const int number : state.numbers) {
        appendStringInfoChar(&state.row, state.nulls[number] ? '\0' : '\1');
        if (!state.nulls[number])
            append_value(&state.row, TupleDescAttr(state.desc, number)->atttypid, state.values[number]);
    }
    if (EVP_DigestUpdate(state.digest, state.row.data, static_cast<std::size_t>(state.row.len)) != 1) fail();
}
} // namespace

} // namespace usher::audit

// Plain frames: no C++ object lives here, so ERRORs may jump.

USHER_FUNCTION(usher_audit_digest_add) {
    using namespace usher::audit;
    MemoryContext context = nullptr;
    if (AggCheckCallContext(fcinfo, &context) == 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("function must be called by its aggregate"));
    auto *const state = PG_ARGISNULL(0) ? make_state(context) : reinterpret_cast<State *>(PG_GETARG_POINTER(0));
    if (!PG_ARGISNULL(1)) add_row(*state, PG_GETARG_HEAPTUPLEHEADER(1), context);
    PG_RETURN_POINTER(state);
}

USHER_FUNCTION(usher_audit_digest_final) {
    using namespace usher::audit;
    if (AggCheckCallContext(fcinfo, nullptr) == 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("function must be called by its aggregate"));
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    // A copy, since the state may be asked again. No rows have a digest as well.
    EVP_MD_CTX *const copy = EVP_MD_CTX_new();
    const bool good =
        copy != nullptr &&
        (PG_ARGISNULL(0) ? EVP_DigestInit_ex(copy, EVP_sha256(), nullptr)
                         : EVP_MD_CTX_copy_ex(copy, reinterpret_cast<State *>(PG_GETARG_POINTER(0))->digest)) == 1 &&
        EVP_DigestFinal_ex(copy, digest, &length) == 1;
    EVP_MD_CTX_free(copy);
    if (!good) fail();
    auto *const result = static_cast<bytea *>(palloc(VARHDRSZ + length));
    SET_VARSIZE(result, VARHDRSZ + length);
    std::memcpy(VARDATA(result), digest, length);
    PG_RETURN_BYTEA_P(result);
}
