#include "audit/log_writer.hpp"
#include "pg/spi.hpp"

namespace usher::audit {

namespace {
enum Position : int {
    id,
    created_at,
    event_type,
    action,
    severity,
    source,
    outcome,
    actor_id,
    actor_name,
    session_id,
    database_user,
    client_ip,
    user_agent,
    correlation_id,
    resource_type,
    resource_id_column,
    key,
    old_values,
    new_values,
    event_data,
    error_message,
    metadata,
    transaction_id,
    statement_id,
    position_count
};

constexpr const char *names[position_count] = {"id",
                                               "created_at",
                                               "event_type",
                                               "action",
                                               "severity",
                                               "source",
                                               "result",
                                               "actor_id",
                                               "actor_name",
                                               "session_id",
                                               "database_user",
                                               "client_ip",
                                               "user_agent",
                                               "correlation_id",
                                               "resource_type",
                                               "resource_id",
                                               "key",
                                               "old_values",
                                               "new_values",
                                               "event_data",
                                               "error_message",
                                               "metadata",
                                               "transaction_id",
                                               "statement_id"};

/// The clock of audit rows in this backend: never the same instant for two statements, also when the wall clock is set
/// back. Between two of them there is room for a third, see instant_of().
TimestampTz next_instant() {
    static constinit TimestampTz last = 0;
    last = std::max(GetCurrentTimestamp(), last + 2);
    return last;
}

/// The statement whose trigger runs, by its number within the transaction. It runs under the statement's own snapshot.
CommandId running_statement() { return ActiveSnapshotSet() ? GetActiveSnapshot()->curcid : GetCurrentCommandId(false); }

/// When a statement changed its rows. What its row triggers ran has been audited already, though it came later, and to
/// the same row perhaps: the statement gets an instant before all that.
TimestampTz instant_of(CommandId statement) {
    struct Audited {
        CommandId statement;
        TimestampTz instant;
    };
    static auto *const inner = new std::vector<Audited>; // by number; never destroyed
    static constinit std::uint64_t transaction = 0;
    const std::uint64_t current = U64FromFullTransactionId(GetTopFullTransactionId());
    if (transaction != current) inner->clear();
    transaction = current;
    TimestampTz instant = next_instant();
    for (; !inner->empty() && inner->back().statement > statement; inner->pop_back())
        instant = inner->back().instant - 1;
    if (DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, Datum{0})) > 1)
        inner->push_back({statement, instant});
    else
        inner->clear(); // no trigger fired this one
    return instant;
}

/// First id of a statement; those of further rows count on from it, so that they sort in the order of the rows.
void first_id(TimestampTz instant, pg_uuid_t *made) {
    std::array<std::uint8_t, 8> random{};
    if (!pg_strong_random(random.data(), random.size()))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    random[0] &= 0x1F; // room to count on
    const Uuid uuid = make_uuid_v7(pg::instant_of(TimestampTzGetDatum(instant)), random);
    std::memcpy(made->data, uuid.bytes.data(), UUID_LEN);
}

Datum text_or_null(std::string_view value, bool *is_null) {
    *is_null = value.empty();
    return value.empty() ? 0 : PointerGetDatum(cstring_to_text_with_len(value.data(), static_cast<int>(value.size())));
}

/// Of a role that was dropped while its session goes on, the number.
Datum session_user_name() {
    const Oid role = GetSessionUserId();
    const char *const name = GetUserNameFromId(role, true);
    return CStringGetTextDatum(name != nullptr ? name : psprintf("%u", role));
}

bool has_insert_triggers(Relation relation) {
    const TriggerDesc *const triggers = relation->trigdesc;
    return triggers != nullptr && (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
                                   triggers->trig_insert_instead_row || triggers->trig_insert_before_statement ||
                                   triggers->trig_insert_after_statement || triggers->trig_insert_new_table);
}

/// The partition for an instant; InvalidOid when there is none.
Oid find_partition(Relation log, TimestampTz instant) {
    PartitionKey const partition_key = RelationGetPartitionKey(log);
    PartitionDesc const partitions = RelationGetPartitionDesc(log, true);
    if (partition_key == nullptr || partition_key->strategy != PARTITION_STRATEGY_RANGE ||
        partition_key->partnatts != 1 || partitions->nparts == 0)
        return InvalidOid;
    PartitionBoundInfo const bounds = partitions->boundinfo;
    Datum value = TimestampTzGetDatum(instant);
    bool is_equal = false;
    const int bound = partition_range_datum_bsearch(partition_key->partsupfunc, partition_key->partcollation, bounds, 1,
                                                    &value, &is_equal);
    int index = bounds->indexes[bound + 1];
    if (index < 0) index = bounds->default_index;
    return index < 0 ? InvalidOid : partitions->oids[index];
}

/// Is it a table that we may write past the executor, with the columns where we expect them?
bool is_plain(Relation partition) {
    const Form_pg_class form = partition->rd_rel;
    const TupleDesc desc = RelationGetDescr(partition);
    if (form->relkind != RELKIND_RELATION || form->relam != HEAP_TABLE_AM_OID || form->relrowsecurity ||
        desc->natts != position_count || has_insert_triggers(partition))
        return false;
    for (int i = 0; i < position_count; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (attribute->attisdropped || std::strcmp(NameStr(attribute->attname), names[i]) != 0) return false;
    }
    return true;
}
} // namespace

namespace {
/// Predicates of partial indexes, ready to run. The server would plan each first, which costs more than a row; theirs
/// come from the relation cache, simplified already.
void prepare_predicates(const ResultRelInfo &result, MemoryContext context) {
    MemoryContext const caller = MemoryContextSwitchTo(context);
    for (int i = 0; i < result.ri_NumIndices; ++i) {
        IndexInfo *const index = result.ri_IndexRelationInfo[i];
        if (index->ii_Predicate != NIL && index->ii_PredicateState == nullptr)
            index->ii_PredicateState = ExecInitQual(index->ii_Predicate, nullptr);
    }
    MemoryContextSwitchTo(caller);
}
} // namespace

void LogWriter::fill_constants(const Statement &statement) {
    std::fill_n(nulls_, static_cast<int>(position_count), false);
    const TimestampTz now = statement.event != nullptr ? next_instant() : instant_of(running_statement());
    first_id(now, &id_);
    constants_[created_at] = TimestampTzGetDatum(now);
    const Actor &actor = *statement.actor;
    nulls_[actor_id] = !actor.user_id;
    if (actor.user_id) std::memcpy(actor_id_.data, actor.user_id->bytes.data(), UUID_LEN);
    constants_[actor_id] = UUIDPGetDatum(&actor_id_);
    constants_[actor_name] = text_or_null(actor.name, &nulls_[actor_name]);
    nulls_[session_id] = !actor.session_id;
    if (actor.session_id) std::memcpy(session_id_.data, actor.session_id->bytes.data(), UUID_LEN);
    constants_[session_id] = UUIDPGetDatum(&session_id_);
    constants_[database_user] = session_user_name();
    const request::Context &context = *statement.context;
    nulls_[client_ip] = context.client_ip.empty();
    if (!context.client_ip.empty())
        constants_[client_ip] =
            DirectFunctionCall1(inet_in, CStringGetDatum(pnstrdup(context.client_ip.data(), context.client_ip.size())));
    constants_[user_agent] = text_or_null(context.user_agent, &nulls_[user_agent]);
    constants_[correlation_id] = text_or_null(context.correlation_id, &nulls_[correlation_id]);
    constants_[metadata] = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
    constants_[transaction_id] = Int64GetDatum(static_cast<int64>(U64FromFullTransactionId(GetTopFullTransactionId())));
    if (statement.event != nullptr)
        fill_event(*statement.event, actor);
    else
        fill_change(statement);
}

void LogWriter::fill_change(const Statement &statement) {
    constants_[event_type] = CStringGetTextDatum(psprintf("row.%s", statement.action));
    constants_[action] = CStringGetTextDatum(statement.action);
    deleted_type_ = CStringGetTextDatum("row.delete");
    deleted_action_ = CStringGetTextDatum("delete");
    constants_[severity] = CStringGetTextDatum("info");
    constants_[source] = CStringGetTextDatum("trigger");
    constants_[outcome] = CStringGetTextDatum("success");
    constants_[resource_type] = PointerGetDatum(statement.resource_type);
    constants_[event_data] = constants_[metadata];
    nulls_[error_message] = true;
    constants_[statement_id] = Int32GetDatum(static_cast<int32>(running_statement()));
}

void LogWriter::fill_event(const Event &event, const Actor &actor) {
    const auto fill = [this](Position position, std::string_view value) {
        constants_[position] = text_or_null(value, &nulls_[position]);
    };
    const std::string_view last_part = event.event_type.substr(event.event_type.rfind('.') + 1);
    fill(event_type, event.event_type);
    fill(action, last_part.empty() ? event.event_type : last_part);
    fill(severity, event.severity);
    fill(source, event.source);
    fill(outcome, event.result);
    fill(resource_type, event.resource_type);
    fill(error_message, event.error_message);
    constants_[event_data] =
        DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(event.data.data(), event.data.size())));
    nulls_[statement_id] = true;
    if (event.session_id) {
        nulls_[session_id] = false;
        std::memcpy(session_id_.data, event.session_id->bytes.data(), UUID_LEN);
    }
    if (!event.actor_id) return;
    nulls_[actor_id] = false;
    std::memcpy(actor_id_.data, event.actor_id->bytes.data(), UUID_LEN);
    if (event.actor_id != actor.user_id) nulls_[actor_name] = true; // that is the name of who acts here
}

void LogWriter::open(const Statement &statement) {
    partition_ = nullptr;
    estate_ = nullptr;
    result_ = nullptr;
    bulk_ = nullptr;
    slot_count_ = count_ = 0;
    memory_ = CurrentMemoryContext;
    batch_ = AllocSetContextCreate(memory_, "usher audit batch", ALLOCSET_DEFAULT_SIZES);
    // The lock first, then the clock: sealing relies on ids being younger than the lock.
    log_ = table_open(get_relname_relid("audit_logs", get_namespace_oid("usher", false)), RowExclusiveLock);
    fill_constants(statement);
    if (!open_partition() && partition_ != nullptr) {
        table_close(partition_, NoLock);
        partition_ = nullptr;
    }
}

bool LogWriter::open_partition() {
    if (has_insert_triggers(log_) || log_->rd_rel->relrowsecurity) return false;
    const Oid found = find_partition(log_, DatumGetTimestampTz(constants_[created_at]));
    if (!OidIsValid(found)) return false;
    partition_ = table_open(found, RowExclusiveLock);
    if (!is_plain(partition_)) return false;
    estate_ = CreateExecutorState();
    result_ = makeNode(ResultRelInfo);
    InitResultRelInfo(result_, partition_, 0, nullptr, 0);
    ExecOpenIndices(result_, false);
    prepare_predicates(*result_, estate_->es_query_cxt);
    return true;
}

void LogWriter::next_id() {
    for (int i = UUID_LEN - 1; i >= 8; --i)
        if (++id_.data[i] != 0) return;
}

void LogWriter::add(const LogRow &row) {
    ids_[count_] = id_;
    next_id();
    rows_[count_++] = row;
    if (count_ == batch_rows || MemoryContextMemAllocated(batch_, true) > batch_bytes) flush();
}

void LogWriter::flush() {
    if (count_ == 0) return;
    Oid user = InvalidOid;
    int security = 0;
    GetUserIdAndSecContext(&user, &security);
    SetUserIdAndSecContext(log_->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE);
    if (partition_ != nullptr)
        write_directly();
    else
        write_through_spi();
    SetUserIdAndSecContext(user, security); // abort puts it back after an ERROR
    count_ = 0;
    MemoryContextReset(batch_);
}

void LogWriter::write_directly() {
    MemoryContext const caller = MemoryContextSwitchTo(memory_);
    while (slot_count_ < count_) slots_[slot_count_++] = table_slot_create(partition_, nullptr);
    if (count_ > 1 && bulk_ == nullptr) bulk_ = GetBulkInsertState();
    for (int i = 0; i < count_; ++i) {
        TupleTableSlot *const slot = slots_[i];
        ExecClearTuple(slot);
        std::copy_n(constants_, static_cast<int>(position_count), slot->tts_values);
        std::copy_n(nulls_, static_cast<int>(position_count), slot->tts_isnull);
        slot->tts_values[id] = UUIDPGetDatum(&ids_[i]);
        const LogRow &row = rows_[i];
        const auto put = [slot](Position position, Datum value) {
            slot->tts_values[position] = value;
            slot->tts_isnull[position] = value == 0;
        };
        if (row.is_gone) {
            put(event_type, deleted_type_);
            put(action, deleted_action_);
        }
        put(resource_id_column, row.resource_id);
        put(key, row.key);
        put(old_values, row.old_values);
        put(new_values, row.new_values);
        ExecStoreVirtualTuple(slot);
    }
    const CommandId command = GetCurrentCommandId(true);
    if (count_ == 1)
        table_tuple_insert(partition_, slots_[0], command, 0, nullptr);
    else
        table_multi_insert(partition_, slots_, count_, command, 0, bulk_);
    for (int i = 0; i < count_ && result_->ri_NumIndices > 0; ++i) {
        pg::insert_index_entries(result_, slots_[i], estate_);
        ResetPerTupleExprContext(estate_);
    }
    for (int i = 0; i < count_; ++i) ExecClearTuple(slots_[i]);
    MemoryContextSwitchTo(caller);
}

void LogWriter::write_through_spi() {
    static constinit pg::Statement insert{"INSERT INTO usher.audit_logs (id, created_at, event_type, action, severity, "
                                          "source, result, actor_id, actor_name, session_id,"
                                          " database_user, client_ip, user_agent, correlation_id, resource_type, "
                                          "resource_id, key, old_values, new_values, event_data,"
                                          " error_message, metadata, transaction_id, statement_id) VALUES ($1, $2, $3, "
                                          "$4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
                                          " $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)"};
    static constexpr Oid types[position_count] = {UUIDOID,  TIMESTAMPTZOID, TEXTOID, TEXTOID,  TEXTOID,  TEXTOID,
                                                  TEXTOID,  UUIDOID,        TEXTOID, UUIDOID,  TEXTOID,  INETOID,
                                                  TEXTOID,  TEXTOID,        TEXTOID, TEXTOID,  JSONBOID, JSONBOID,
                                                  JSONBOID, JSONBOID,       TEXTOID, JSONBOID, INT8OID,  INT4OID};
    for (int i = 0; i < count_; ++i) {
        pg::Param params[position_count];
        for (int p = 0; p < position_count; ++p)
            params[p] = nulls_[p] ? pg::null(types[p]) : pg::datum(types[p], constants_[p]);
        params[id] = pg::datum(UUIDOID, UUIDPGetDatum(&ids_[i]));
        const LogRow &row = rows_[i];
        const auto put = [&params](Position position, Datum value) {
            params[position] = value == 0 ? pg::null(types[position]) : pg::datum(types[position], value);
        };
        if (row.is_gone) {
            put(event_type, deleted_type_);
            put(action, deleted_action_);
        }
        put(resource_id_column, row.resource_id);
        put(key, row.key);
        put(old_values, row.old_values);
        put(new_values, row.new_values);
        insert.run_plain(params);
    }
}

void LogWriter::close() {
    flush();
    if (bulk_ != nullptr) {
        table_finish_bulk_insert(partition_, 0);
        FreeBulkInsertState(bulk_);
    }
    for (int i = 0; i < slot_count_; ++i) ExecDropSingleTupleTableSlot(slots_[i]);
    if (result_ != nullptr) {
        ExecCloseIndices(result_);
        FreeExecutorState(estate_);
    }
    if (partition_ != nullptr) table_close(partition_, NoLock);
    table_close(log_, NoLock);
    MemoryContextDelete(batch_);
}

LogWriter::Written LogWriter::write_event(const Statement &statement) {
    PreventCommandIfReadOnly("INSERT"); // what the executor would say
    PreventCommandIfParallelMode("INSERT");
    open(statement);
    const Written written{id_, DatumGetTimestampTz(constants_[created_at])};
    LogRow row;
    bool is_null = false;
    row.resource_id = text_or_null(statement.event->resource_id, &is_null);
    add(row);
    close();
    CommandCounterIncrement(); // whoever wrote it sees it
    return written;
}

} // namespace usher::audit
