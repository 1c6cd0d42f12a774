// Rows as jsonb, written straight in the binary form with the keys of a relation kept ready: a third of what to_jsonb()
// costs.
//
// Values come out as in to_jsonb(), except that they do not depend on settings: times with zone are in UTC, binary data
// is hexadecimal. A value of type json that is no valid jsonb is its text. A value that is too large,
// or that cannot be written at all, becomes {"$omitted": {"bytes": n}}: auditing never makes a correct write fail.
//
// Everything here is plain data and plain frames: ERRORs may jump, so call it inside pg::call.
#pragma once
#include "pg/guard.hpp"
#include "pg/jsonb_format.hpp"

namespace usher::audit {

enum class Kind : std::uint8_t {
    int2,
    int4,
    int8,
    float4,
    float8,
    numeric,
    text,
    boolean,
    datetime,
    uuid,
    bytea,
    json,
    jsonb,
    array,
    row,
    other
};

/// How values of one type are written.
struct ValueType {
    Kind kind;
    Oid base;    // the type itself, or what a domain is over
    Oid element; // of an array
    Oid output;  // function of kind `other`
    bool is_varlena;
    /// Does the output function come with an extension, of the type itself or of what it is a range of? Of arrays and
    /// composite values only the columns of a table know it, see runs_others_code().
    bool runs_others_code;
};
ValueType value_type(Oid type);
/// Does writing a value call an output function that is not the server's own, for the value or for what is in it?
bool runs_others_code(Oid type);

struct Column {
    int index; // in the row, from 0
    ValueType type;
    FmgrInfo output; // of kind `other`
    const char *name;
    int name_length;
    bool by_value;
    std::int16_t length;
    bool is_redacted;
    bool is_personal; // redacted unless it is known whose the row is
};

/// What is known about the rows of one relation. Columns are in the order of the keys of a jsonb: by length, then by
/// bytes.
struct RowEncoder {
    MemoryContext context;
    TupleDesc desc;  // to notice a change of the table
    Oid primary_key; // its index, to notice that it is another one
    char *options;   // the trigger's argument, to notice a change of the lists
    Column *columns;
    int count;
    bool reads_settings; // some output depends on DateStyle and the like
    int *key_columns;    // indexes into columns
    int key_count;
    bool *is_key;          // by index into columns
    int subject;           // in the row, from 0: the uuid of the user whose row it is; -1 for none
    std::uint64_t changes; // pg::relation_changes() when it was seen to fit
    char *prefix;          // header and keys of a whole row
    int prefix_length;
    pg::jsonb_format::Container object; // of a whole row, with its keys
    text *resource_type;
};

/// A column as the trigger's argument names it, with the number that it has in this table, or 0: who renames a secret
/// column does not make it public, nor who calls another by its former name. After a restore numbers are others, and 0
/// here; usher._follow_columns() has kept the names up to date.
struct NamedColumn {
    const char *name;
    int number;
};
struct NameList {
    const NamedColumn *columns;
    int count;
};

/// What the trigger's argument says about columns.
struct ColumnLists {
    NameList exclude, redact, personal, subject; // at most one subject
    const NameList *key;                         // nullptr: the primary key
};

/// In a memory context of its own. A column that was dropped is passed over. When it cannot be told which column is
/// meant, but for the key, all values are redacted, with a warning.
RowEncoder *make_encoder(Relation relation, const char *options, const ColumnLists &lists);
bool still_fits(RowEncoder &encoder, Relation relation, const char *options);

/// The user whose row it is; nullptr when nobody can tell. Lives as long as what is in the slot.
const pg_uuid_t *subject_of(const RowEncoder &encoder, const TupleTableSlot *slot);
/// The whole row, with its personal columns or not. `buffer` is scratch space; the result is palloc'd.
Datum encode_row(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot, bool is_personal);
/// Only columns that `chosen` says, by index into columns.
Datum encode_columns(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot, const bool *chosen,
                     bool is_personal);
/// Marks the columns that differ; false when there is none. Both slots are deformed.
bool find_changes(const RowEncoder &encoder, const TupleTableSlot *before, const TupleTableSlot *after, bool *changed);
/// The key as jsonb and as text; false when the relation has none. Redacted and excluded columns count as keys too when
/// asked for.
bool encode_key(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot, Datum *json, Datum *id);
/// A key's text as it stands in resource_id: what is too long for an index is replaced by its digest.
text *resource_id(const char *key, int length);

} // namespace usher::audit
