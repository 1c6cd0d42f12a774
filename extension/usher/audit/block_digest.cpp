// The digest of a block of audit rows: SHA-256 over the rows in the order of their ids.
//
// What goes in: of every row all columns in the order of the statement below; of each a byte that says whether it is
// there, and its value. Numbers and times go in network order, text as UTF-8, everything of variable length behind its
// length, so that no two blocks give the same bytes, and a dump that is restored elsewhere has the same digest. jsonb
// goes in as what it consists of (append_json below): writing it out as text would cost more than everything else.
//
// actor_name, client_ip and user_agent stay out: usher.erase_user() empties them, and the seals must outlive that. Who
// acted is sealed by actor_id. The values of a row about a user, which it takes away as well, go in as the SHA-256 of a
// secret salt and themselves: once they are erased that digest stands in the row instead of the salt, and without the
// salt nobody can try which values would give it. A later version may add columns to the table without breaking old
// seals.
#include "pg/args.hpp"
#include "pg/kept_plans.hpp"
#include "pg/result.hpp"
#include <memory>
#include <openssl/evp.h>

namespace usher::audit {

namespace {
constexpr const char *rows_of_block = R"(
    SELECT id, created_at, event_type, action, severity, source, result, actor_id, session_id, database_user,
           correlation_id, resource_type, resource_id, key, transaction_id, statement_id, subject_id, value_salt,
           value_digest, old_values, new_values, event_data, error_message, metadata
    FROM usher.audit_logs
    WHERE id OPERATOR(pg_catalog.>=) $1 AND id OPERATOR(pg_catalog.<) $2 ORDER BY id LIMIT $3)";

struct FreeContext {
    void operator()(EVP_MD_CTX *context) const { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeContext>;

enum Place : int { value_salt = 17, value_digest, first_value }; // in the statement, from 0

/// What goes into a SHA-256. Plain data and plain frames from here on: ERRORs may jump.
struct Input {
    EVP_MD_CTX *digest;
    StringInfoData buffer; // what is not in the digest yet
};

/// Takes the rows from the executor as they come.
struct BlockDigest {
    DestReceiver receiver;
    Input rows, values; // values of one row
    MemoryContext row_memory;
    int64 limit, count;
    pg_uuid_t next; // first row beyond the limit
    bool has_next;
};

constexpr int buffer_size = 64 * 1024, digest_size = 32;

void require(bool is_done) {
    if (!is_done) ereport(ERROR, errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg("could not compute SHA-256"));
}

void begin(Input &input) { require(EVP_DigestInit_ex(input.digest, EVP_sha256(), nullptr) == 1); }

void make_room(Input &input) {
    initStringInfo(&input.buffer);
    enlargeStringInfo(&input.buffer, buffer_size);
}

void flush(Input &input) {
    require(EVP_DigestUpdate(input.digest, input.buffer.data, static_cast<std::size_t>(input.buffer.len)) == 1);
    input.buffer.len = 0;
}

void finish(Input &input, unsigned char *digest) {
    flush(input);
    require(EVP_DigestFinal_ex(input.digest, digest, nullptr) == 1);
}

void append(Input &input, const void *bytes, int size) {
    if (input.buffer.len + size > buffer_size) flush(input);
    if (size > buffer_size) { // too large to copy it once more
        require(EVP_DigestUpdate(input.digest, bytes, static_cast<std::size_t>(size)) == 1);
        return;
    }
    std::memcpy(input.buffer.data + input.buffer.len, bytes, static_cast<std::size_t>(size));
    input.buffer.len += size;
}

void append_tag(Input &input, char tag) { append(input, &tag, 1); }

void append_count(Input &input, uint32 count) {
    const uint32 number = pg_hton32(count);
    append(input, &number, sizeof number);
}

void append_int8(Input &input, int64 value) {
    const uint64 number = pg_hton64(static_cast<uint64>(value));
    append(input, &number, sizeof number);
}

void append_bytes(Input &input, const char *bytes, int size) {
    append_count(input, static_cast<uint32>(size));
    append(input, bytes, size);
}

void append_text(Input &input, const char *text, int size) {
    const char *const utf8 = pg_server_to_any(text, size, PG_UTF8);
    append_bytes(input, utf8, utf8 == text ? size : static_cast<int>(std::strlen(utf8)));
}

void append_json(Input &input, const JsonbContainer *container);

/// A part of a jsonb: a kind and what it holds. Numbers as in the binary protocol, "1.0" other than "1".
void append_json_part(Input &input, JEntry entry, const char *data, uint32 offset, uint32 size) {
    if (JBE_ISSTRING(entry)) {
        append_tag(input, 's');
        append_text(input, data + offset, static_cast<int>(size));
    } else if (JBE_ISNUMERIC(entry)) {
        const char *const number = data + INTALIGN(offset);
        const bytea *const sent = DatumGetByteaPP(DirectFunctionCall1(numeric_send, PointerGetDatum(number)));
        append_tag(input, 'n');
        append_bytes(input, VARDATA_ANY(sent), static_cast<int>(VARSIZE_ANY_EXHDR(sent)));
    } else if (JBE_ISCONTAINER(entry))
        append_json(input, reinterpret_cast<const JsonbContainer *>(data + INTALIGN(offset)));
    else
        append_tag(input, JBE_ISNULL(entry) ? '0' : JBE_ISBOOL_TRUE(entry) ? 't' : 'f');
}

/// An object is a list of its keys, then of its values, in the order in which jsonb keeps them.
void append_json(Input &input, const JsonbContainer *container) {
    check_stack_depth();
    const uint32 count = JsonContainerSize(container), parts = JsonContainerIsObject(container) ? 2 * count : count;
    append_tag(input, JsonContainerIsObject(container) ? 'o' : JsonContainerIsScalar(container) ? 'v' : 'a');
    append_count(input, count);
    const char *const data = reinterpret_cast<const char *>(container->children + parts);
    uint32 offset = 0;
    for (uint32 i = 0; i < parts; ++i) {
        const JEntry entry = container->children[i];
        const uint32 start = offset;
        JBE_ADVANCE_OFFSET(offset, entry);
        append_json_part(input, entry, data, start, offset - start);
    }
}

void append_value(Input &input, Oid type, Datum value) {
    switch (type) {
    case UUIDOID: return append(input, DatumGetUUIDP(value)->data, UUID_LEN);
    case TIMESTAMPTZOID:
    case INT8OID: return append_int8(input, DatumGetInt64(value));
    case INT4OID: return append_count(input, static_cast<uint32>(DatumGetInt32(value)));
    case TEXTOID: {
        const text *const flat = DatumGetTextPP(value);
        return append_text(input, VARDATA_ANY(flat), static_cast<int>(VARSIZE_ANY_EXHDR(flat)));
    }
    case JSONBOID: return append_json(input, &DatumGetJsonbP(value)->root);
    default: elog(ERROR, "audit rows have a column of unknown type %u", type);
    }
}

void append_optional(Input &input, Oid type, Datum value, bool is_null) {
    append_tag(input, is_null ? '\0' : '\1');
    if (!is_null) append_value(input, type, value);
}

/// The digest of the values of one row with its salt, in the order of the statement.
void digest_values(Input &input, Datum salt, const Oid *types, const Datum *values, const bool *nulls, int count,
                   unsigned char *digest) {
    begin(input);
    append(input, DatumGetUUIDP(salt)->data, UUID_LEN);
    for (int i = 0; i < count; ++i) append_optional(input, types[i], values[i], nulls[i]);
    finish(input, digest);
}

constexpr Oid value_types[] = {JSONBOID, JSONBOID, JSONBOID, TEXTOID, JSONBOID};
constexpr int value_count = static_cast<int>(std::size(value_types));

/// The values of a row: as they are, or, when they can be erased, as their digest.
void append_values(BlockDigest &block, const TupleTableSlot *slot) {
    const Datum *const values = slot->tts_values;
    const bool *const nulls = slot->tts_isnull;
    unsigned char digest[digest_size];
    if (!nulls[value_digest]) {
        const bytea *const stored = DatumGetByteaPP(values[value_digest]);
        append_tag(block.rows, 'd');
        append_bytes(block.rows, VARDATA_ANY(stored), static_cast<int>(VARSIZE_ANY_EXHDR(stored)));
    } else if (!nulls[value_salt]) {
        digest_values(block.values, values[value_salt], value_types, values + first_value, nulls + first_value,
                      value_count, digest);
        append_tag(block.rows, 'd');
        append_bytes(block.rows, reinterpret_cast<const char *>(digest), digest_size);
    } else
        for (int i = first_value; i < first_value + value_count; ++i)
            append_optional(block.rows, value_types[i - first_value], values[i], nulls[i]);
}

/// One row of the statement; false ends it.
bool receive_row(TupleTableSlot *slot, DestReceiver *receiver) {
    auto &block = *reinterpret_cast<BlockDigest *>(receiver);
    slot_getallattrs(slot);
    if (block.count == block.limit) {
        block.has_next = true;
        block.next = *DatumGetUUIDP(slot->tts_values[0]);
        return false;
    }
    ++block.count;
    MemoryContext const caller = MemoryContextSwitchTo(block.row_memory);
    const TupleDesc desc = slot->tts_tupleDescriptor;
    for (int i = 0; i < value_salt; ++i)
        append_optional(block.rows, TupleDescAttr(desc, i)->atttypid, slot->tts_values[i], slot->tts_isnull[i]);
    append_values(block, slot);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(block.row_memory);
    return true;
}

void digest_rows(BlockDigest &block, Datum from, Datum until) {
    static SPIPlanPtr plan = nullptr;
    block.receiver.receiveSlot = receive_row;
    block.receiver.rStartup = [](DestReceiver *, int, TupleDesc) {};
    block.receiver.rShutdown = block.receiver.rDestroy = [](DestReceiver *) {};
    block.receiver.mydest = DestNone;
    make_room(block.rows);
    make_room(block.values);
    block.row_memory = AllocSetContextCreate(CurrentMemoryContext, "usher audit row", ALLOCSET_DEFAULT_SIZES);
    SPI_connect();
    if (plan == nullptr) plan = pg::prepare_kept(rows_of_block, std::array<Oid, 3>{UUIDOID, UUIDOID, INT8OID});
    const ParamListInfo params = makeParamList(3);
    const auto set = [params](int i, Oid type, Datum value) {
        params->params[i].value = value;
        params->params[i].isnull = false;
        params->params[i].pflags = PARAM_FLAG_CONST;
        params->params[i].ptype = type;
    };
    set(0, UUIDOID, from);
    set(1, UUIDOID, until);
    set(2, INT8OID, Int64GetDatum(block.limit == PG_INT64_MAX ? block.limit : block.limit + 1));
    SPIExecuteOptions options{};
    options.params = params;
    options.read_only = true;
    options.dest = &block.receiver;
    const int code = SPI_execute_plan_extended(plan, &options);
    if (code < 0) elog(ERROR, "could not execute a statement: %s", SPI_result_code_string(code));
    flush(block.rows);
    SPI_finish();
    MemoryContextDelete(block.row_memory);
}

Error digest_failed() { return {"39000", "could not compute SHA-256"}; }
} // namespace

} // namespace usher::audit

/// usher._digest_audit_rows(from_id, until_id, max_rows)
USHER_FUNCTION(usher_audit_digest_rows) {
    using namespace usher;
    using namespace usher::audit;
    const pg::Args args(fcinfo);
    const Uuid from = args.uuid(0), until = args.uuid(1);
    const DigestContext rows(EVP_MD_CTX_new()), values(EVP_MD_CTX_new());
    if (!rows || !values || EVP_DigestInit_ex(rows.get(), EVP_sha256(), nullptr) != 1) throw digest_failed();
    BlockDigest block{};
    block.rows.digest = rows.get();
    block.values.digest = values.get();
    block.limit = args.is_null(2) ? PG_INT64_MAX : std::max<std::int64_t>(args.int8(2), 0);
    pg::call([&] { digest_rows(block, pg::to_datum(pg::uuid(from)), pg::to_datum(pg::uuid(until))); });
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (EVP_DigestFinal_ex(rows.get(), digest, &size) != 1) throw digest_failed();
    Uuid next;
    std::memcpy(next.bytes.data(), block.next.data, UUID_LEN);
    pg::RowBuilder row(fcinfo);
    row.set("row_count", pg::int8(block.count));
    row.set("digest", pg::bytea({reinterpret_cast<const char *>(digest), size}));
    if (block.has_next) row.set("next_id", pg::uuid(next));
    return row.finish();
}

/// usher._digest_audit_values(value_salt, old_values, new_values, event_data, error_message, metadata)
USHER_FUNCTION(usher_audit_digest_values) {
    using namespace usher;
    using namespace usher::audit;
    const DigestContext context(EVP_MD_CTX_new());
    if (!context) throw digest_failed();
    if (fcinfo->args[0].isnull) pg::Args(fcinfo).refuse_null(0);
    unsigned char digest[digest_size];
    pg::call([&] {
        Input input{context.get(), {}};
        make_room(input);
        Datum values[value_count];
        bool nulls[value_count];
        for (int i = 0; i < value_count; ++i) {
            values[i] = fcinfo->args[i + 1].value;
            nulls[i] = fcinfo->args[i + 1].isnull;
        }
        digest_values(input, fcinfo->args[0].value, value_types, values, nulls, value_count, digest);
    });
    return pg::result(pg::bytea({reinterpret_cast<const char *>(digest), digest_size}));
}
