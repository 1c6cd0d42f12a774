#include "usher/audit/row_encoder.hpp"
#include "pg/cache.hpp"
#include "pg/partitions.hpp"
#include "usher/audit/jsonb_writer.hpp"
#include "usher/audit/value_text.hpp"

namespace usher::audit {

namespace {
constexpr int max_indexed = 500; // bytes of a key in an index entry

Kind kind_of(Oid base) {
    switch (base) {
    case INT2OID: return Kind::int2;
    case INT4OID: return Kind::int4;
    case INT8OID: return Kind::int8;
    case FLOAT4OID: return Kind::float4;
    case FLOAT8OID: return Kind::float8;
    case NUMERICOID: return Kind::numeric;
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case XMLOID: return Kind::text;
    case JSONOID: return Kind::json;
    case BOOLOID: return Kind::boolean;
    case DATEOID:
    case TIMEOID:
    case TIMETZOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID: return Kind::datetime;
    case UUIDOID: return Kind::uuid;
    case BYTEAOID: return Kind::bytea;
    case JSONBOID: return Kind::jsonb;
    default: return Kind::other;
    }
}

bool reads_settings(const ValueType &type) {
    if (type.kind == Kind::array || type.kind == Kind::row) return true; // what is inside may
    if (type.kind != Kind::other) return false;
    const char category = [&] {
        char found = 0;
        bool is_preferred = false;
        get_type_category_preferred(type.base, &found, &is_preferred);
        return found;
    }();
    // enums, network addresses, names and object identifiers look the same everywhere
    return category != TYPCATEGORY_ENUM && category != TYPCATEGORY_NETWORK && category != TYPCATEGORY_STRING &&
           category != TYPCATEGORY_NUMERIC && type.base != CHAROID && type.base != MONEYOID;
}

bool has_column(TupleDesc desc, const char *name) {
    for (int i = 0; i < desc->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (!attribute->attisdropped && std::strcmp(NameStr(attribute->attname), name) == 0) return true;
    }
    return false;
}

bool contains(NameList list, TupleDesc desc, int index) {
    const char *const name = NameStr(TupleDescAttr(desc, index)->attname);
    return std::any_of(list.columns, list.columns + list.count, [&](const NamedColumn &each) {
        return std::strcmp(each.name, name) == 0 || each.number == index + 1;
    });
}

/// A column of the list that cannot be told any more: its name is none, and its number is not of this table.
const char *find_lost(NameList list, TupleDesc desc) {
    const NamedColumn *const end = list.columns + list.count;
    const NamedColumn *const lost = std::find_if(
        list.columns, end, [&](const NamedColumn &each) { return each.number == 0 && !has_column(desc, each.name); });
    return lost == end ? nullptr : lost->name;
}

void warn_of_lost(Relation relation, const char *column) {
    ereport(WARNING, (errmsg("audit of relation \"%s\" redacts every value: column \"%s\" of its lists does not exist",
                             RelationGetRelationName(relation), column),
                      errhint("Call usher.enable_audit() again, with the columns that are meant.")));
}

void add_column(RowEncoder &encoder, TupleDesc desc, int index, bool is_redacted, bool is_personal) {
    const Form_pg_attribute attribute = TupleDescAttr(desc, index);
    Column &column = encoder.columns[encoder.count++];
    column.index = index;
    column.type = value_type(attribute->atttypid);
    column.type.runs_others_code = runs_others_code(attribute->atttypid);
    if (column.type.kind == Kind::other) fmgr_info_cxt(column.type.output, &column.output, encoder.context);
    column.name = pstrdup(NameStr(attribute->attname));
    column.name_length = static_cast<int>(std::strlen(column.name));
    column.by_value = attribute->attbyval;
    column.length = attribute->attlen;
    column.is_redacted = is_redacted;
    column.is_personal = is_personal;
    encoder.reads_settings = encoder.reads_settings || reads_settings(column.type);
}

pg::jsonb_format::Container begin_object(StringInfo buffer, int count) {
    pg::jsonb_format::skip(*buffer, VARHDRSZ); // the size, which finish() knows
    return pg::jsonb_format::begin(*buffer, JB_FOBJECT, static_cast<std::size_t>(count));
}

void append_key(StringInfo buffer, pg::jsonb_format::Container &object, const Column &column) {
    const std::size_t start = pg::jsonb_format::size_of(*buffer);
    pg::jsonb_format::append(*buffer, column.name, static_cast<std::size_t>(column.name_length));
    pg::jsonb_format::end_part(*buffer, object, JENTRY_ISSTRING, start);
}

void sort_columns(RowEncoder &encoder) {
    std::sort(encoder.columns, encoder.columns + encoder.count, [](const Column &a, const Column &b) {
        if (a.name_length != b.name_length) return a.name_length < b.name_length;
        return std::memcmp(a.name, b.name, a.name_length) < 0;
    });
}

/// The index of the primary key, whether it is checked at once or later; the relation cache knows the first kind only.
Oid find_primary_key(Relation relation) {
    List *const indexes = RelationGetIndexList(relation);
    Oid found = InvalidOid;
    ListCell *cell = nullptr;
    foreach (cell, indexes) {
        const HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
        if (!HeapTupleIsValid(tuple)) continue;
        if (reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple))->indisprimary) found = lfirst_oid(cell);
        ReleaseSysCache(tuple);
    }
    list_free(indexes);
    return found;
}

/// Numbers of the columns, as sets of the relation cache have them.
Bitmapset *key_columns_of(Oid index) {
    Bitmapset *columns = nullptr;
    const HeapTuple tuple = OidIsValid(index) ? SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index)) : nullptr;
    if (!HeapTupleIsValid(tuple)) return columns;
    const auto *const form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    for (int i = 0; i < form->indnkeyatts; ++i)
        columns = bms_add_member(columns, form->indkey.values[i] - FirstLowInvalidHeapAttributeNumber);
    ReleaseSysCache(tuple);
    return columns;
}

void find_key(RowEncoder &encoder, Relation relation, const NameList *key) {
    encoder.key_columns = static_cast<int *>(palloc(sizeof(int) * (encoder.count + 1)));
    encoder.is_key = static_cast<bool *>(palloc0(sizeof(bool) * (encoder.count + 1)));
    Bitmapset *const primary = key == nullptr ? key_columns_of(encoder.primary_key) : nullptr;
    for (int i = 0; i < encoder.count; ++i) {
        const Column &column = encoder.columns[i];
        const bool is_key = key != nullptr
                                ? contains(*key, RelationGetDescr(relation), column.index)
                                : bms_is_member(column.index + 1 - FirstLowInvalidHeapAttributeNumber, primary);
        if (!is_key || column.is_redacted || column.is_personal) continue;
        encoder.key_columns[encoder.key_count++] = i;
        encoder.is_key[i] = true;
    }
}

/// The bytes that every whole row begins with: room for the header and all entries, entries of the keys, the keys.
void make_prefix(RowEncoder &encoder) {
    StringInfoData prefix;
    initStringInfo(&prefix);
    encoder.object = begin_object(&prefix, encoder.count);
    for (int i = 0; i < encoder.count; ++i) append_key(&prefix, encoder.object, encoder.columns[i]);
    encoder.prefix = prefix.data;
    encoder.prefix_length = prefix.len;
}

/// Partitions stand for their table: whoever looks for a row does not know in which of them it is.
text *name_of(Relation relation) {
    const Oid named = pg::partition_root(relation);
    return cstring_to_text(
        quote_qualified_identifier(get_namespace_name(get_rel_namespace(named)), get_rel_name(named)));
}

JEntry write_column(StringInfo buffer, const Column &column, const TupleTableSlot *slot, bool is_personal) {
    if (slot->tts_isnull[column.index]) return JENTRY_ISNULL;
    if (column.is_redacted || (column.is_personal && !is_personal)) return write_string(buffer, "[redacted]", 10);
    FmgrInfo *const output = column.type.kind == Kind::other ? const_cast<FmgrInfo *>(&column.output) : nullptr;
    return write_value(buffer, column.type, output, slot->tts_values[column.index]);
}

void append_column(StringInfo buffer, pg::jsonb_format::Container &object, const Column &column,
                   const TupleTableSlot *slot, bool is_personal) {
    const std::size_t start = pg::jsonb_format::size_of(*buffer);
    const JEntry type = write_column(buffer, column, slot, is_personal);
    pg::jsonb_format::end_part(*buffer, object, type, start);
}

Datum finish(const StringInfoData &buffer) {
    auto *const result = static_cast<char *>(palloc(buffer.len));
    std::memcpy(result, buffer.data, buffer.len);
    SET_VARSIZE(result, buffer.len);
    return PointerGetDatum(result);
}
} // namespace

ValueType value_type(Oid type) {
    const Oid base = getBaseType(type);
    ValueType made{kind_of(base), base, InvalidOid, InvalidOid, get_typlen(base) == -1, false};
    if (made.kind != Kind::other) return made;
    made.element = get_element_type(base);
    if (OidIsValid(made.element))
        made.kind = Kind::array;
    else if (type_is_rowtype(base))
        made.kind = Kind::row;
    bool is_varlena = false;
    getTypeOutputInfo(base, &made.output, &is_varlena);
    if (made.kind == Kind::other) made.runs_others_code = runs_others_code(base);
    return made;
}

bool runs_others_code(Oid type) {
    const Oid base = getBaseType(type);
    if (kind_of(base) != Kind::other) return false;
    for (const Oid inner : {get_element_type(base), get_range_subtype(base), get_multirange_range(base)})
        if (OidIsValid(inner)) return runs_others_code(inner);
    if (type_is_rowtype(base)) {
        if (base == RECORDOID) return true; // of any types
        const TupleDesc desc = lookup_rowtype_tupdesc(base, -1);
        bool runs = false;
        for (int i = 0; i < desc->natts && !runs; ++i)
            runs = !TupleDescAttr(desc, i)->attisdropped && runs_others_code(TupleDescAttr(desc, i)->atttypid);
        ReleaseTupleDesc(desc);
        return runs;
    }
    Oid output = InvalidOid;
    bool is_varlena = false;
    getTypeOutputInfo(base, &output, &is_varlena);
    return output >= FirstNormalObjectId;
}

RowEncoder *make_encoder(Relation relation, const char *options, const ColumnLists &lists) {
    MemoryContext const context =
        AllocSetContextCreate(CurrentMemoryContext, "usher audit columns", ALLOCSET_SMALL_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(context);
    const TupleDesc desc = RelationGetDescr(relation);
    auto *const encoder = static_cast<RowEncoder *>(palloc0(sizeof(RowEncoder)));
    encoder->context = context;
    encoder->changes = pg::relation_changes();
    encoder->desc = CreateTupleDescCopyConstr(desc);
    encoder->primary_key = find_primary_key(relation);
    encoder->options = pstrdup(options);
    encoder->columns = static_cast<Column *>(palloc0(sizeof(Column) * (desc->natts + 1)));
    const char *lost = nullptr;
    for (const NameList &list : {lists.exclude, lists.redact, lists.personal, lists.subject})
        if (lost == nullptr) lost = find_lost(list, desc);
    if (lost != nullptr) warn_of_lost(relation, lost);
    encoder->subject = -1;
    for (int i = 0; i < desc->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (attribute->attisdropped || pg::is_virtual(*attribute)) continue;
        if (contains(lists.subject, desc, i) && attribute->atttypid == UUIDOID) encoder->subject = i;
        if (contains(lists.exclude, desc, i)) continue;
        add_column(*encoder, desc, i, lost != nullptr || contains(lists.redact, desc, i),
                   contains(lists.personal, desc, i));
    }
    sort_columns(*encoder);
    find_key(*encoder, relation, lists.key);
    make_prefix(*encoder);
    encoder->resource_type = name_of(relation);
    MemoryContextSwitchTo(caller);
    MemoryContextSetParent(context, CacheMemoryContext); // only now: after an ERROR above it goes with the statement
    return encoder;
}

bool still_fits(RowEncoder &encoder, Relation relation, const char *options) {
    if (std::strcmp(encoder.options, options) != 0) return false;
    const std::uint64_t changes = pg::relation_changes();
    if (encoder.changes == changes) return true;
    const text *const name = name_of(relation);
    if (encoder.primary_key != find_primary_key(relation) ||
        !equalTupleDescs(encoder.desc, RelationGetDescr(relation)) || VARSIZE(name) != VARSIZE(encoder.resource_type) ||
        std::memcmp(name, encoder.resource_type, VARSIZE(name)) != 0)
        return false;
    for (int i = 0; i < encoder.count; ++i) { // a composite type may have got another attribute
        ValueType &each = encoder.columns[i].type;
        if (each.kind == Kind::array || each.kind == Kind::row) each.runs_others_code = runs_others_code(each.base);
    }
    encoder.changes = changes;
    return true;
}

const pg_uuid_t *subject_of(const RowEncoder &encoder, const TupleTableSlot *slot) {
    if (encoder.subject < 0 || slot->tts_isnull[encoder.subject]) return nullptr;
    return DatumGetUUIDP(slot->tts_values[encoder.subject]);
}

Datum encode_row(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot, bool is_personal) {
    resetStringInfo(buffer);
    appendBinaryStringInfo(buffer, encoder.prefix, encoder.prefix_length);
    pg::jsonb_format::Container object = encoder.object;
    for (int i = 0; i < encoder.count; ++i) append_column(buffer, object, encoder.columns[i], slot, is_personal);
    return finish(*buffer);
}

Datum encode_columns(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot, const bool *chosen,
                     bool is_personal) {
    resetStringInfo(buffer);
    pg::jsonb_format::Container object =
        begin_object(buffer, static_cast<int>(std::count(chosen, chosen + encoder.count, true)));
    for (int i = 0; i < encoder.count; ++i)
        if (chosen[i]) append_key(buffer, object, encoder.columns[i]);
    for (int i = 0; i < encoder.count; ++i)
        if (chosen[i]) append_column(buffer, object, encoder.columns[i], slot, is_personal);
    return finish(*buffer);
}

bool find_changes(const RowEncoder &encoder, const TupleTableSlot *before, const TupleTableSlot *after, bool *changed) {
    bool any = false;
    for (int i = 0; i < encoder.count; ++i) {
        const Column &column = encoder.columns[i];
        const bool old_null = before->tts_isnull[column.index], new_null = after->tts_isnull[column.index];
        bool differs = old_null != new_null;
        if (!old_null && !new_null) {
            const Datum old_value = before->tts_values[column.index], new_value = after->tts_values[column.index];
            if (column.by_value)
                differs = old_value != new_value;
            else if (column.length == -1) {
                // the stored forms first: an unchanged large value is the same pointer to its storage, and is not
                // fetched
                const void *const a = DatumGetPointer(old_value), *const b = DatumGetPointer(new_value);
                differs = VARSIZE_ANY(a) != VARSIZE_ANY(b) || std::memcmp(a, b, VARSIZE_ANY(a)) != 0;
                if (differs) differs = !datum_image_eq(old_value, new_value, false, -1);
            } else
                differs = !datum_image_eq(old_value, new_value, false, column.length);
        }
        changed[i] = differs;
        any = any || differs;
    }
    return any;
}

text *resource_id(const char *key, int length) {
    if (length <= max_indexed) return cstring_to_text_with_len(key, length);
    const Datum digest = DirectFunctionCall1(md5_text, PointerGetDatum(cstring_to_text_with_len(key, length)));
    return cstring_to_text(psprintf("md5:%s", TextDatumGetCString(digest)));
}

bool encode_key(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot, Datum *json, Datum *id) {
    if (encoder.key_count == 0) return false;
    *json = encode_columns(encoder, buffer, slot, encoder.is_key, false);
    const char *key = nullptr;
    if (encoder.key_count == 1) {
        const Column &column = encoder.columns[encoder.key_columns[0]];
        FmgrInfo *const output = column.type.kind == Kind::other ? const_cast<FmgrInfo *>(&column.output) : nullptr;
        key = slot->tts_isnull[column.index] ? "" : key_text(column.type, output, slot->tts_values[column.index]);
    } else
        key = key_text(DatumGetJsonbP(*json));
    *id = PointerGetDatum(resource_id(key, static_cast<int>(std::strlen(key))));
    return true;
}

} // namespace usher::audit
