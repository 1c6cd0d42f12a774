#include "pg/partitions.hpp"
#include "pg/xact.hpp"
#include <map>
#include <tuple>

namespace usher::pg {

namespace {
struct Update {
    CommandId statement; // its number within the transaction
    std::string purpose;
    MovedRow row;
};

struct Memory {
    TimestampTz transaction = 0;
    /// The row that each running statement updates now, for each purpose.
    std::vector<Update> updates;
    /// Rows that were taken, until their AFTER triggers run, in the same order: statement, purpose, key.
    std::multimap<std::tuple<CommandId, std::string, std::string>, MovedRow> moved;
};

Memory &memory() {
    static auto *const kept = new Memory; // never destroyed
    const TimestampTz now = GetCurrentTransactionStartTimestamp();
    if (kept->transaction != now) {
        kept->updates.clear();
        kept->moved.clear();
    }
    kept->transaction = now;
    return *kept;
}

/// Has this transaction taken the row out of its partition in order to put it into another? The deletion says so in the
/// row itself. Tables of other access methods than heap have no such sign: their rows are never found to have moved.
bool has_left(const MovedRow &row, CommandId statement) {
    return call([&] {
        Relation const partition = try_relation_open(row.partition, NoLock); // locked by the statement
        if (partition == nullptr) return false;
        bool has_left = false;
        if (partition->rd_rel->relam == HEAP_TABLE_AM_OID) {
            TupleTableSlot *const slot = table_slot_create(partition, nullptr);
            ItemPointerData place = row.place;
            if (table_tuple_fetch_row_version(partition, &place, SnapshotAny, slot)) {
                bool is_copy = false;
                HeapTupleHeader const header = ExecFetchSlotHeapTuple(slot, false, &is_copy)->t_data;
                has_left = HeapTupleHeaderIndicatesMovedPartitions(header) &&
                           TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header)) &&
                           HeapTupleHeaderGetCmax(header) == statement;
            }
            ExecDropSingleTupleTableSlot(slot);
        }
        relation_close(partition, NoLock);
        return has_left;
    });
}
} // namespace

Oid partition_root(Relation relation) {
    const Oid oid = RelationGetRelid(relation);
    if (!relation->rd_rel->relispartition) return oid;
    List *const ancestors = get_partition_ancestors(oid);
    return ancestors == NIL ? oid : llast_oid(ancestors);
}

void note_update(const TriggerData *data, std::string_view purpose) {
    if (!data->tg_relation->rd_rel->relispartition) return;
    std::vector<Update> &updates = memory().updates;
    const CommandId statement = running_statement();
    const MovedRow row{RelationGetRelid(data->tg_relation), data->tg_trigtuple->t_self};
    while (!updates.empty() && updates.back().statement > statement) updates.pop_back(); // those within it have ended
    for (Update &each : updates) {
        if (each.statement != statement || each.purpose != purpose) continue;
        each.row = row;
        return;
    }
    updates.push_back({statement, std::string(purpose), row});
}

bool is_moved_here(const TriggerData *data, std::string_view purpose, std::string_view key) {
    if (!data->tg_relation->rd_rel->relispartition) return false;
    Memory &known = memory();
    const CommandId statement = running_statement();
    for (auto each = known.updates.begin(); each != known.updates.end(); ++each) {
        if (each->statement != statement || each->purpose != purpose) continue;
        const MovedRow row = each->row;
        if (!has_left(row, statement)) return false;
        known.updates.erase(each);
        known.moved.emplace(std::tuple(statement, std::string(purpose), std::string(key)), row);
        return true;
    }
    return false;
}

std::optional<MovedRow> find_moved_row(const TriggerData *data, std::string_view purpose, std::string_view key) {
    if (!data->tg_relation->rd_rel->relispartition) return std::nullopt;
    auto &moved = memory().moved;
    if (moved.empty()) return std::nullopt;
    const std::tuple wanted(running_statement(), std::string(purpose), std::string(key));
    const auto found = moved.lower_bound(wanted);
    if (found == moved.end() || found->first != wanted) return std::nullopt;
    const MovedRow row = found->second;
    moved.erase(found);
    return row;
}

HeapTuple read_moved_row(const MovedRow &moved, TupleDesc desc) {
    Relation const partition = relation_open(moved.partition, AccessShareLock);
    TupleTableSlot *const slot = table_slot_create(partition, nullptr);
    ItemPointerData place = moved.place;
    if (!table_tuple_fetch_row_version(partition, &place, SnapshotAny, slot))
        elog(ERROR, "a row that was moved to another partition is gone");
    TupleConversionMap *const map = convert_tuples_by_name(RelationGetDescr(partition), desc);
    HeapTuple const row = ExecCopySlotHeapTuple(slot);
    ExecDropSingleTupleTableSlot(slot);
    relation_close(partition, NoLock);
    return map == nullptr ? row : execute_attr_map_tuple(row, map);
}

} // namespace usher::pg
