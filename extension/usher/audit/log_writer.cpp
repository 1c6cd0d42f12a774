#include "usher/audit/log_writer.hpp"
#include "pg/spi.hpp"
#include "pg/table_form.hpp"
#include "pg/value.hpp"
#include "pg/xact.hpp"

namespace usher::audit {

namespace {
/// The clock of audit rows in this backend: never the same instant for two statements, also when the wall clock is set
/// back. Between two of them there is room for a third, see instant_of().
TimestampTz next_instant() {
    static constinit TimestampTz last = 0;
    last = std::max(GetCurrentTimestamp(), last + 2);
    return last;
}

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
    std::array<std::uint8_t, 8> random = pg::unique_bits();
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

/// Values that never change, made once for the backend.
struct Texts {
    Datum event_types[4], actions[4]; // by Action
    Datum severity, source, outcome, empty_object;
};

const Texts &texts() {
    static constinit Texts *made = nullptr;
    if (made != nullptr) return *made;
    MemoryContext const caller = MemoryContextSwitchTo(TopMemoryContext);
    auto *const texts = static_cast<Texts *>(palloc0(sizeof(Texts)));
    static constexpr const char *actions[] = {"insert", "update", "delete", "truncate"};
    for (int i = 0; i < 4; ++i) {
        texts->event_types[i] = CStringGetTextDatum(psprintf("row.%s", actions[i]));
        texts->actions[i] = CStringGetTextDatum(actions[i]);
    }
    texts->severity = CStringGetTextDatum("info");
    texts->source = CStringGetTextDatum("trigger");
    texts->outcome = CStringGetTextDatum("success");
    texts->empty_object = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
    MemoryContextSwitchTo(caller);
    made = texts;
    return *made;
}
} // namespace

void LogWriter::fill_constants(const Statement &statement) {
    std::fill_n(nulls_, static_cast<int>(position_count), false);
    const TimestampTz now = statement.event != nullptr ? next_instant() : instant_of(pg::running_statement());
    first_id(now, &id_);
    constants_[created_at] = TimestampTzGetDatum(now);
    const Actor &actor = *statement.actor;
    nulls_[value_digest] = true;
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
    constants_[metadata] = texts().empty_object;
    constants_[transaction_id] = Int64GetDatum(static_cast<int64>(U64FromFullTransactionId(GetTopFullTransactionId())));
    if (statement.event != nullptr)
        fill_event(*statement.event, actor);
    else
        fill_change(statement);
}

void LogWriter::fill_change(const Statement &statement) {
    const Texts &known = texts();
    constants_[event_type] = known.event_types[static_cast<int>(statement.action)];
    constants_[action] = known.actions[static_cast<int>(statement.action)];
    constants_[severity] = known.severity;
    constants_[source] = known.source;
    constants_[outcome] = known.outcome;
    constants_[resource_type] = PointerGetDatum(statement.resource_type);
    constants_[event_data] = constants_[metadata];
    nulls_[error_message] = true;
    constants_[statement_id] = Int32GetDatum(static_cast<int32>(pg::running_statement()));
    nulls_[subject_id] = !statement.has_subjects;
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
    const auto fill_object = [this](Position position, std::string_view object) {
        constants_[position] = DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(object.data(), object.size())));
    };
    fill_object(event_data, event.data);
    if (event.metadata != "{}") fill_object(metadata, event.metadata);
    nulls_[statement_id] = true;
    // what is told about a user is theirs
    const std::optional<Uuid> subject = event.resource_type == "user" ? parse_uuid(event.resource_id) : std::nullopt;
    nulls_[subject_id] = !subject;
    if (subject) std::memcpy(subject_.data, subject->bytes.data(), UUID_LEN);
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
    pg::require_insert_allowed();
    partition_ = nullptr;
    indexes_ = nullptr;
    slots_ = nullptr;
    slot_count_ = count_ = index_count_ = 0;
    room_ = first_rows;
    waiting_ = static_cast<Waiting *>(palloc(sizeof(Waiting) * first_rows));
    memory_ = CurrentMemoryContext;
    batch_ = AllocSetContextCreate(memory_, "usher audit batch", ALLOCSET_DEFAULT_SIZES);
    // The lock first, then the clock: sealing relies on ids being younger than the lock.
    log_ = table_open(find_log(), RowExclusiveLock);
    fill_constants(statement);
    may_vanish_ = statement.event == nullptr && statement.action == Action::update_rows;
    open_partition();
}

void LogWriter::open_partition() {
    Relation const partition = lock_partition(log_, DatumGetTimestampTz(constants_[created_at]));
    if (partition == nullptr) return;
    target_ = open_target(log_, partition);
    if (!target_->is_plain) {
        close_target(target_);
        table_close(partition, NoLock); // locked all the same: the server will choose it as well
        return;
    }
    partition_ = partition;
    auto **const found_indexes = static_cast<const LogIndex **>(palloc(sizeof(void *) * (target_->index_count + 1)));
    index_count_ = find_indexes(*target_, constants_, nulls_, may_vanish_, found_indexes);
    indexes_ = static_cast<OpenIndex *>(palloc(sizeof(OpenIndex) * (index_count_ + 1)));
    for (int i = 0; i < index_count_; ++i) {
        OpenIndex &index = indexes_[i];
        index.known = found_indexes[i];
        index.relation = index_open(index.known->oid, RowExclusiveLock);
        index.info = *index.known->info;
        index.info.ii_Context = memory_; // what the index method keeps, it keeps for this statement
    }
}

void LogWriter::next_id() {
    for (int i = UUID_LEN - 1; i >= 8; --i)
        if (++id_.data[i] != 0) return;
}

void LogWriter::add(const LogRow &row) {
    if (count_ == room_) {
        room_ = batch_rows;
        waiting_ = static_cast<Waiting *>(repalloc(waiting_, sizeof(Waiting) * batch_rows));
    }
    Waiting &waiting = waiting_[count_++];
    waiting.row = row;
    waiting.id = id_;
    if (row.subject != 0 && !pg_strong_random(&waiting.salt, sizeof waiting.salt))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    next_id();
    if (count_ == batch_rows || MemoryContextMemAllocated(batch_, true) > batch_bytes) flush();
}

Datum LogWriter::value(const Waiting &waiting, int position, bool *is_null) const {
    const auto optional = [is_null](Datum value) {
        *is_null = value == 0;
        return value;
    };
    *is_null = false;
    switch (position) {
    case id: return UUIDPGetDatum(&waiting.id);
    case resource_id_column: return optional(waiting.row.resource_id);
    case key: return optional(waiting.row.key);
    case old_values: return optional(waiting.row.old_values);
    case new_values: return optional(waiting.row.new_values);
    case subject_id: return optional(waiting.row.subject);
    case value_salt: return optional(waiting.row.subject == 0 ? 0 : UUIDPGetDatum(&waiting.salt));
    case event_type:
        if (waiting.row.is_gone) return texts().event_types[static_cast<int>(Action::delete_rows)];
        break;
    case action:
        if (waiting.row.is_gone) return texts().actions[static_cast<int>(Action::delete_rows)];
        break;
    default: break;
    }
    *is_null = nulls_[position];
    return constants_[position];
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
    MemoryContext const caller = MemoryContextSwitchTo(batch_);
    if (count_ == 1)
        write_one();
    else
        write_many();
    // index by index: the pages of one stay at hand
    for (OpenIndex *each = indexes_; each != indexes_ + index_count_; ++each) enter(*each);
    MemoryContextSwitchTo(caller);
}

void LogWriter::write_one() {
    Datum values[position_count];
    bool nulls[position_count];
    for (int i = 0; i < position_count; ++i) values[i] = value(waiting_[0], i, &nulls[i]);
    HeapTuple const tuple = heap_form_tuple(RelationGetDescr(partition_), values, nulls);
    tuple->t_tableOid = RelationGetRelid(partition_);
    heap_insert(partition_, tuple, GetCurrentCommandId(true), 0, nullptr);
    waiting_[0].place = tuple->t_self;
}

void LogWriter::write_many() {
    MemoryContext const batch = MemoryContextSwitchTo(memory_);
    if (slots_ == nullptr) slots_ = static_cast<TupleTableSlot **>(palloc(sizeof(TupleTableSlot *) * batch_rows));
    while (slot_count_ < count_) slots_[slot_count_++] = table_slot_create(partition_, nullptr);
    MemoryContextSwitchTo(batch);
    for (int row = 0; row < count_; ++row) {
        TupleTableSlot *const slot = slots_[row];
        ExecClearTuple(slot);
        for (int i = 0; i < position_count; ++i) slot->tts_values[i] = value(waiting_[row], i, &slot->tts_isnull[i]);
        ExecStoreVirtualTuple(slot);
    }
    // Without the ring of buffers that COPY uses: the rows are to be sealed soon, and should not be on disk by then.
    heap_multi_insert(partition_, slots_, count_, GetCurrentCommandId(true), 0, nullptr);
    for (int row = 0; row < count_; ++row) {
        waiting_[row].place = slots_[row]->tts_tid;
        ExecClearTuple(slots_[row]);
    }
}

bool LogWriter::takes(const OpenIndex &index, const Waiting &waiting) const {
    if (!index.known->asks_subject && !(index.known->asks_action && may_vanish_)) return true;
    bool is_null = false;
    return takes_row(*target_, *index.known, constants_, nulls_,
                     {value(waiting, event_type, &is_null), value(waiting, action, &is_null), waiting.row.subject});
}

void LogWriter::enter(OpenIndex &index) {
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    for (Waiting *each = waiting_; each != waiting_ + count_; ++each) {
        if (!takes(index, *each)) continue;
        for (int i = 0; i < index.info.ii_NumIndexAttrs; ++i)
            values[i] = value(*each, index.info.ii_IndexAttrNumbers[i] - 1, &nulls[i]);
        index_insert(index.relation, values, nulls, &each->place, partition_, index.known->check, false, &index.info);
    }
}

void LogWriter::write_through_spi() {
    static constinit pg::Statement insert{R"(
        INSERT INTO usher.audit_logs (id, created_at, event_type, action, severity, source, result, actor_id,
                                      actor_name, session_id, database_user, client_ip, user_agent, correlation_id,
                                      resource_type, resource_id, key, old_values, new_values, event_data,
                                      error_message, metadata, transaction_id, statement_id, subject_id, value_salt,
                                      value_digest)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                $23, $24, $25, $26, $27))"};
    static constexpr Oid types[position_count] = {
        UUIDOID,  TIMESTAMPTZOID, TEXTOID, TEXTOID,  TEXTOID, TEXTOID, TEXTOID, UUIDOID,  TEXTOID,
        UUIDOID,  TEXTOID,        INETOID, TEXTOID,  TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID,
        JSONBOID, JSONBOID,       TEXTOID, JSONBOID, INT8OID, INT4OID, UUIDOID, UUIDOID,  BYTEAOID};
    for (int i = 0; i < count_; ++i) {
        pg::Param params[position_count];
        for (int p = 0; p < position_count; ++p) {
            bool is_null = false;
            const Datum each = value(waiting_[i], p, &is_null);
            params[p] = is_null ? pg::null(types[p]) : pg::datum(types[p], each);
        }
        insert.run_plain(params);
    }
}

void LogWriter::close() {
    flush();
    for (int i = 0; i < slot_count_; ++i) ExecDropSingleTupleTableSlot(slots_[i]);
    for (OpenIndex *each = indexes_; each != indexes_ + index_count_; ++each) {
        pg::end_index_inserts(each->relation, &each->info);
        index_close(each->relation, NoLock);
    }
    if (partition_ != nullptr) {
        close_target(target_);
        table_close(partition_, NoLock);
    }
    table_close(log_, NoLock);
    MemoryContextDelete(batch_);
}

LogWriter::Written LogWriter::write_event(const Statement &statement) {
    open(statement);
    const Written written{id_, DatumGetTimestampTz(constants_[created_at])};
    LogRow row;
    bool is_null = false;
    row.resource_id = text_or_null(statement.event->resource_id, &is_null);
    row.subject = nulls_[subject_id] ? 0 : UUIDPGetDatum(&subject_);
    add(row);
    close();
    CommandCounterIncrement(); // whoever wrote it sees it
    return written;
}

} // namespace usher::audit
