#include "audit/row_encoder.hpp"
#include "audit/json_writer.hpp"
#include "pg/cache.hpp"

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
        return std::strcmp(each.name, name) == 0 || (each.number == index + 1 && !has_column(desc, each.name));
    });
}

void add_column(RowEncoder &encoder, TupleDesc desc, int index, bool is_redacted) {
    const Form_pg_attribute attribute = TupleDescAttr(desc, index);
    Column &column = encoder.columns[encoder.count++];
    column.index = index;
    column.type = value_type(attribute->atttypid);
    if (column.type.kind == Kind::other) fmgr_info_cxt(column.type.output, &column.output, encoder.context);
    column.name = pstrdup(NameStr(attribute->attname));
    column.name_length = static_cast<int>(std::strlen(column.name));
    column.by_value = attribute->attbyval;
    column.length = attribute->attlen;
    column.is_redacted = is_redacted;
    encoder.reads_settings = encoder.reads_settings || reads_settings(column.type);
}

void sort_columns(RowEncoder &encoder) {
    std::sort(encoder.columns, encoder.columns + encoder.count, [](const Column &a, const Column &b) {
        if (a.name_length != b.name_length) return a.name_length < b.name_length;
        return std::memcmp(a.name, b.name, a.name_length) < 0;
    });
}

void find_key(RowEncoder &encoder, Relation relation, const NameList *key) {
    encoder.key_columns = static_cast<int *>(palloc(sizeof(int) * (encoder.count + 1)));
    encoder.is_key = static_cast<bool *>(palloc0(sizeof(bool) * (encoder.count + 1)));
    Bitmapset *const primary =
        key == nullptr ? RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY) : nullptr;
    for (int i = 0; i < encoder.count; ++i) {
        const Column &column = encoder.columns[i];
        const bool is_key = key != nullptr
                                ? contains(*key, RelationGetDescr(relation), column.index)
                                : bms_is_member(column.index + 1 - FirstLowInvalidHeapAttributeNumber, primary);
        if (!is_key || column.is_redacted) continue;
        encoder.key_columns[encoder.key_count++] = i;
        encoder.is_key[i] = true;
    }
}

/// Where the keys and values of an object begin: behind its header and an entry for each.
int value_offset(int count) {
    return static_cast<int>(VARHDRSZ + sizeof(uint32) +
                            std::size_t{2} * static_cast<std::size_t>(count) * sizeof(JEntry));
}

/// The bytes that every whole row begins with: room for the header and all entries, entries of the keys, the keys.
void make_prefix(RowEncoder &encoder) {
    for (int i = 0; i < encoder.count; ++i) encoder.keys_length += encoder.columns[i].name_length;
    encoder.prefix_length = value_offset(encoder.count) + encoder.keys_length;
    encoder.prefix = static_cast<char *>(palloc0(encoder.prefix_length));
    auto *const header = reinterpret_cast<uint32 *>(encoder.prefix + VARHDRSZ);
    *header = encoder.count | JB_FOBJECT;
    char *names = encoder.prefix + encoder.prefix_length - encoder.keys_length;
    uint32 total = 0;
    for (int i = 0; i < encoder.count; ++i) {
        const Column &column = encoder.columns[i];
        total += column.name_length;
        header[1 + i] = JENTRY_ISSTRING | (i % JB_OFFSET_STRIDE == 0 ? total | JENTRY_HAS_OFF : column.name_length);
        std::memcpy(names, column.name, column.name_length);
        names += column.name_length;
    }
}

/// Partitions stand for their table: whoever looks for a row does not know in which of them it is.
text *name_of(Relation relation) {
    Oid named = RelationGetRelid(relation);
    if (relation->rd_rel->relispartition) {
        List *const ancestors = get_partition_ancestors(named);
        if (ancestors != NIL) named = llast_oid(ancestors);
    }
    return cstring_to_text(
        quote_qualified_identifier(get_namespace_name(get_rel_namespace(named)), get_rel_name(named)));
}

JEntry write_column(StringInfo buffer, const Column &column, const TupleTableSlot *slot) {
    if (slot->tts_isnull[column.index]) return JENTRY_ISNULL;
    if (column.is_redacted) return write_string(buffer, "[redacted]", 10);
    FmgrInfo *const output = column.type.kind == Kind::other ? const_cast<FmgrInfo *>(&column.output) : nullptr;
    return write_value(buffer, column.type, output, slot->tts_values[column.index]);
}

/// Entry of the element number `i` of all: its length, or at every stride where it ends.
JEntry entry(JEntry type, int i, const StringInfoData &buffer, int start, int data) {
    return type | (i % JB_OFFSET_STRIDE == 0 ? static_cast<JEntry>(buffer.len - data) | JENTRY_HAS_OFF
                                             : static_cast<JEntry>(buffer.len - start));
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
    ValueType made{kind_of(base), base, InvalidOid, InvalidOid};
    if (made.kind != Kind::other) return made;
    made.element = get_element_type(base);
    if (OidIsValid(made.element))
        made.kind = Kind::array;
    else if (type_is_rowtype(base))
        made.kind = Kind::row;
    bool is_varlena = false;
    getTypeOutputInfo(base, &made.output, &is_varlena);
    return made;
}

RowEncoder *make_encoder(Relation relation, const char *options, NameList exclude, NameList redact,
                         const NameList *key) {
    MemoryContext const context =
        AllocSetContextCreate(CurrentMemoryContext, "usher audit columns", ALLOCSET_SMALL_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(context);
    const TupleDesc desc = RelationGetDescr(relation);
    auto *const encoder = static_cast<RowEncoder *>(palloc0(sizeof(RowEncoder)));
    encoder->context = context;
    encoder->changes = pg::relation_changes();
    encoder->desc = CreateTupleDescCopyConstr(desc);
    encoder->primary_key = pg::primary_key_index(relation);
    encoder->options = pstrdup(options);
    encoder->columns = static_cast<Column *>(palloc0(sizeof(Column) * (desc->natts + 1)));
    for (int i = 0; i < desc->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (attribute->attisdropped || pg::is_virtual(*attribute) || contains(exclude, desc, i)) continue;
        add_column(*encoder, desc, i, contains(redact, desc, i));
    }
    sort_columns(*encoder);
    find_key(*encoder, relation, key);
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
    if (encoder.primary_key != pg::primary_key_index(relation) ||
        !equalTupleDescs(encoder.desc, RelationGetDescr(relation)) || VARSIZE(name) != VARSIZE(encoder.resource_type) ||
        std::memcmp(name, encoder.resource_type, VARSIZE(name)) != 0)
        return false;
    encoder.changes = changes;
    return true;
}

Datum encode_row(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot) {
    resetStringInfo(buffer);
    appendBinaryStringInfo(buffer, encoder.prefix, encoder.prefix_length);
    const int data = encoder.prefix_length - encoder.keys_length;
    const std::size_t entries = VARHDRSZ + sizeof(uint32);
    for (int i = 0; i < encoder.count; ++i) {
        const int start = buffer->len;
        const JEntry type = write_column(buffer, encoder.columns[i], slot);
        const int number = encoder.count + i;
        reinterpret_cast<JEntry *>(buffer->data + entries)[number] = entry(type, number, *buffer, start, data);
    }
    return finish(*buffer);
}

Datum encode_columns(const RowEncoder &encoder, StringInfo buffer, const TupleTableSlot *slot, const bool *chosen) {
    const int count = static_cast<int>(std::count(chosen, chosen + encoder.count, true));
    const int data = value_offset(count);
    const std::size_t entries = VARHDRSZ + sizeof(uint32);
    resetStringInfo(buffer);
    enlargeStringInfo(buffer, data + encoder.keys_length);
    *reinterpret_cast<uint32 *>(buffer->data + VARHDRSZ) = count | JB_FOBJECT;
    buffer->len = data;
    int number = 0;
    for (int i = 0; i < encoder.count; ++i) {
        if (!chosen[i]) continue;
        const int start = buffer->len;
        const Column &column = encoder.columns[i];
        std::memcpy(buffer->data + buffer->len, column.name, column.name_length);
        buffer->len += column.name_length;
        reinterpret_cast<JEntry *>(buffer->data + entries)[number] =
            entry(JENTRY_ISSTRING, number, *buffer, start, data);
        ++number;
    }
    for (int i = 0; i < encoder.count; ++i) {
        if (!chosen[i]) continue;
        const int start = buffer->len;
        const JEntry type = write_column(buffer, encoder.columns[i], slot);
        reinterpret_cast<JEntry *>(buffer->data + entries)[number] = entry(type, number, *buffer, start, data);
        ++number;
    }
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
    *json = encode_columns(encoder, buffer, slot, encoder.is_key);
    const char *key = nullptr;
    if (encoder.key_count == 1) {
        const Column &column = encoder.columns[encoder.key_columns[0]];
        FmgrInfo *const output = column.type.kind == Kind::other ? const_cast<FmgrInfo *>(&column.output) : nullptr;
        key = slot->tts_isnull[column.index] ? "" : value_text(column.type, output, slot->tts_values[column.index]);
    } else
        key = JsonbToCString(nullptr, &DatumGetJsonbP(*json)->root, 0);
    *id = PointerGetDatum(resource_id(key, static_cast<int>(std::strlen(key))));
    return true;
}

} // namespace usher::audit
