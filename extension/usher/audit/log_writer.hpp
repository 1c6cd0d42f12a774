// Writes many rows into usher.audit_logs.
//
// Rows of one statement go into one partition in batches, past the executor: with SPI a bulk change would pay more for
// inserting its audit rows than for making them. Where the partition is not a plain local table of the form that we
// know (the DBA attached something else, added triggers, row-level security or an index of expressions), rows go
// through SPI one by one.
//
// Plain data and plain frames: call it inside pg::call.
#pragma once
#include "usher/audit/audit.hpp"
#include "usher/audit/log_target.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::audit {

enum class Action : std::uint8_t { insert_rows, update_rows, delete_rows, truncate_table };

/// What all rows of a statement share: it has changed a table, or reports an event.
struct Statement {
    const Actor *actor;
    const request::Context *context;
    text *resource_type = nullptr;
    Action action = Action::insert_rows;
    bool has_subjects = false;    // may rows of the table say whose they are?
    const Event *event = nullptr; // then the three above are its own
};

/// What differs from row to row. A Datum of 0 is NULL.
struct LogRow {
    Datum resource_id = 0, key = 0, old_values = 0, new_values = 0;
    Datum subject = 0;    // the user whose row it is: their values can be erased
    bool is_gone = false; // an update that made the row vanish: logged as a delete
};

class LogWriter {
public:
    /// Becomes the owner of core while it writes; the caller's rights come back between batches.
    void open(const Statement &statement);
    /// Values live in the memory context that is current during open(); batch() empties it when it grows.
    void add(const LogRow &row);
    void close();
    struct Written {
        pg_uuid_t id;
        TimestampTz created_at;
    };
    /// One row that reports an event, in the place of open(), add() and close().
    Written write_event(const Statement &statement);
    /// Memory for the values of rows that wait.
    [[nodiscard]] MemoryContext batch() const { return batch_; }

private:
    static constexpr int first_rows = 8, batch_rows = 500;
    static constexpr std::size_t batch_bytes = std::size_t{4} * 1024 * 1024;
    struct Waiting {
        LogRow row;
        pg_uuid_t id, salt; // the salt of a row with a subject
        ItemPointerData place;
    };
    struct OpenIndex {
        Relation relation;
        IndexInfo info;
        const LogIndex *known;
    };
    void fill_constants(const Statement &statement);
    void fill_change(const Statement &statement);
    void fill_event(const Event &event, const Actor &actor);
    void open_partition();
    void flush();
    void write_directly();
    void write_one();
    void write_many();
    [[nodiscard]] bool takes(const OpenIndex &index, const Waiting &waiting) const;
    void enter(OpenIndex &index);
    void write_through_spi();
    void next_id();
    [[nodiscard]] Datum value(const Waiting &waiting, int position, bool *is_null) const;

    Relation log_, partition_;
    LogTarget *target_; // of the partition
    OpenIndex *indexes_;
    int index_count_;
    TupleTableSlot **slots_;
    int slot_count_;
    Waiting *waiting_;
    int count_, room_;
    bool may_vanish_; // a row of the statement: its audit row is that of a delete then
    Datum constants_[position_count];
    bool nulls_[position_count];
    pg_uuid_t id_, actor_id_, session_id_, subject_; // the subject of an event
    MemoryContext memory_, batch_;
};

} // namespace usher::audit
