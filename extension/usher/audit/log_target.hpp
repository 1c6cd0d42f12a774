// Where audit rows go: a partition of usher.audit_logs, and its indexes. What has to be known about them is kept from
// statement to statement.
//
// Plain data and plain frames: call it inside pg::call.
#pragma once
#include "pg/target_pool.hpp"

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
    subject_id,
    value_salt,
    value_digest,
    position_count
};

struct LogIndex {
    Oid oid;
    IndexInfo *info;
    ExprState *predicate; // of a partial index, else nullptr
    // What the predicate asks for, so that rows of one statement answer in different ways.
    bool asks_subject, asks_action;
    IndexUniqueCheck check;
};

struct LogTarget : pg::PooledTarget {
    /// May rows be written past the executor, and past the log that it belongs to? Else nothing below is known.
    bool is_plain;
    int index_count;
    LogIndex *indexes;
    ExprContext *context; // for predicates, with a slot for the values that they ask for
};

/// usher.audit_logs
Oid find_log();
/// The partition for an instant, locked; nullptr when there is none.
Relation lock_partition(Relation log, TimestampTz instant);
/// What is known of a partition that is open and locked. Close it with the statement; after an ERROR the server cleans
/// up. Whoever asks for the same in between gets another.
LogTarget *open_target(Relation log, Relation partition);
void close_target(LogTarget *target);
/// The indexes that may take rows of a statement with these values, where the subject is not NULL if rows may have one,
/// and `varies` says that another action than this one is possible. Writes them to `found`, which has room for all, and
/// returns their number.
int find_indexes(const LogTarget &target, const Datum *values, const bool *nulls, bool varies, const LogIndex **found);
/// What is the row's own of what predicates ask for; a subject of 0 is none.
struct Asked {
    Datum event_type, action, subject;
};
/// Does the index take the row?
bool takes_row(const LogTarget &target, const LogIndex &index, const Datum *values, const bool *nulls,
               const Asked &row);

} // namespace usher::audit
