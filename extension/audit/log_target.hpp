// Where audit rows go: a partition of usher.audit_logs, and its indexes.
//
// What has to be known about a partition is kept from statement to statement, as long as nothing is announced about any
// relation: opening all indexes and preparing their predicates costs more than writing a row.
//
// Plain data and plain frames: call it inside pg::call.
#pragma once
#include "pg/guard.hpp"

namespace usher::audit {

/// Columns of usher.audit_logs, in their order.
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

struct LogIndex {
    Oid oid;
    IndexInfo *info;
    ExprState *predicate; // of a partial index, else nullptr
    IndexUniqueCheck check;
};

struct LogTarget {
    Oid partition;
    /// Is it a table that can be written past the executor? Else nothing below is known.
    bool is_plain;
    int index_count;
    LogIndex *indexes;
    ExprContext *context; // for predicates, with a slot for the values that they ask for
    std::uint64_t changes;
    MemoryContext memory;
};

/// usher.audit_logs
Oid find_log();
/// The partition for an instant; InvalidOid when there is none, or when rows must not go past the log itself.
Oid find_partition(Relation log, TimestampTz instant);
/// What is known of a partition that is open and locked. Close it with the statement; after an ERROR the server cleans
/// up. Whoever asks for the same in between gets another.
LogTarget *open_target(Relation partition);
void close_target(LogTarget *target);
/// The indexes that take rows of these values: a predicate asks only for what all rows of a statement have in common.
/// Writes them to `found`, which has room for all, and returns their number.
int find_indexes(const LogTarget &target, const Datum *values, const bool *nulls, const LogIndex **found);

} // namespace usher::audit
