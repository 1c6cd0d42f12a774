// How a machine is attached to a table: what the arguments of its triggers say, resolved to columns.
#pragma once
#include "common/types.hpp"
#include "pg/guard.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::machines {

/// Plain data, so that trigger functions can keep it for a statement and read it without care for ERRORs.
struct Attachment {
    const char *machine = nullptr;
    const char *event_prefix = nullptr; // nullptr: transitions publish nothing
    AttrNumber status = 0, id = 0;
    AttrNumber version = 0, reason = 0, notes = 0, scope = 0; // 0: no such column
    bool history = true;
    bool audit = true;
    int payload_count = 0;
    AttrNumber *payload = nullptr; // columns that go into the event's payload
    const void *held = nullptr;    // what a trigger keeps for its statement: the machine
};

/// Reads the three arguments: machine, status column, options as JSON. Throws 22023 naming what does not fit. Text and
/// lists are made in `context`.
Attachment *read_attachment(const char *machine, const char *column, const char *options, TupleDesc desc,
                            MemoryContext context);
/// Of the trigger; throws 39P01 when it does not have three arguments.
Attachment *read_attachment(const Trigger *trigger, TupleDesc desc, MemoryContext context);

/// A row by its key. History and events know rows by a uuid: a key that is none has one made of its text.
struct Entity {
    std::string key;
    Uuid id;
    bool is_uuid;
    /// The key where only a short one fits, in an index: of one that is too long (or empty) the uuid.
    [[nodiscard]] std::string name() const { return key.empty() || key.size() > 255 ? to_string(id) : key; }
};
/// nullopt when the key is NULL.
std::optional<Entity> entity_of(HeapTuple tuple, TupleDesc desc, AttrNumber id_column);

/// Text of a column by its type's output function; nullopt for NULL.
std::optional<std::string> column_text(HeapTuple tuple, TupleDesc desc, AttrNumber column);
/// The row as jsonb, for guards, without virtual columns; times are in UTC whatever the session says. Plain frame.
Datum row_to_jsonb(HeapTuple tuple, TupleDesc desc);
/// Oid of a function of core without arguments, such as a trigger function.
Oid core_function(const char *name);
/// schema.table, quoted where needed.
std::string relation_name(Oid relation);

} // namespace usher::machines
