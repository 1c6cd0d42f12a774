#include "usher/machines/attachment.hpp"
#include "common/digest.hpp"
#include "common/json.hpp"
#include "pg/spi.hpp"
#include "usher/audit/jsonb_builder.hpp"

namespace usher::machines {

namespace {
[[noreturn]] void refuse(std::string_view option, const std::string &problem) {
    throw Error(errc::invalid_argument, "option " + std::string(option) + " " + problem,
                R"({"option":)" + json::quote(option) + "}");
}

/// Number of a live column; 0 when there is none.
AttrNumber find_column(TupleDesc desc, std::string_view name) {
    for (int i = 0; i < desc->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc, i);
        if (!attribute->attisdropped && name == NameStr(attribute->attname)) return attribute->attnum;
    }
    return 0;
}

Oid column_type(TupleDesc desc, AttrNumber column) {
    const Oid type = TupleDescAttr(desc, column - 1)->atttypid;
    return pg::call([&] { return getBaseType(type); });
}

bool is_text(Oid type) { return type == TEXTOID || type == VARCHAROID; }

/// May values of the type tell rows apart? Their text must not depend on any setting.
bool is_key(Oid type) {
    return type == UUIDOID || type == INT2OID || type == INT4OID || type == INT8OID || is_text(type);
}

const char *keep(MemoryContext context, std::string_view text) {
    auto *const copy = pg::call([&] { return static_cast<char *>(MemoryContextAllocZero(context, text.size() + 1)); });
    std::memcpy(copy, text.data(), text.size());
    return copy;
}

/// Fills an attachment from the options, one after the other.
class OptionReader {
public:
    OptionReader(Attachment &attachment, TupleDesc desc, MemoryContext context)
        : attachment_(attachment), desc_(desc), context_(context) {}

    void read(std::string_view options) {
        json::Document document;
        if (!document.parse(options))
            throw Error(errc::invalid_argument, "options are not valid JSON: " + document.error(),
                        R"({"argument":"options"})");
        if (!document.root().is_object())
            throw Error(errc::invalid_argument, "options must be a JSON object", R"({"argument":"options"})");
        for (const json::Member member : document.root().members()) read_option(member.key(), member.value);
        if (attachment_.id == 0) attachment_.id = id_column("id_column", "id");
    }

private:
    void read_option(const std::string &name, const json::Value &value) {
        if (name == "id_column")
            attachment_.id = id_column(name, text(name, value));
        else if (name == "version_column")
            attachment_.version = version_column(name, value);
        else if (name == "reason_column")
            attachment_.reason = column(name, text(name, value));
        else if (name == "notes_column")
            attachment_.notes = column(name, text(name, value));
        else if (name == "scope_column")
            attachment_.scope = column(name, text(name, value));
        else if (name == "event_prefix")
            attachment_.event_prefix = event_prefix(name, value);
        else if (name == "payload_columns")
            read_payload(name, value);
        else if (name == "history")
            attachment_.history = boolean(name, value);
        else if (name == "audit")
            attachment_.audit = boolean(name, value);
        else
            refuse(name,
                   "is not known (id_column, version_column, reason_column, notes_column, scope_column, event_prefix, "
                   "payload_columns, history, audit)");
    }

    static std::string text(std::string_view option, const json::Value &value) {
        if (!value.is_string()) refuse(option, "must be a string");
        return value.as_string();
    }

    static bool boolean(std::string_view option, const json::Value &value) {
        const std::optional<bool> flag = value.as_bool();
        if (!flag) refuse(option, "must be true or false");
        return *flag;
    }

    AttrNumber column(std::string_view option, const std::string &name) const {
        const AttrNumber found = find_column(desc_, name);
        if (found == 0) refuse(option, "names column " + json::quote(name) + ", which does not exist");
        if (pg::is_virtual(*TupleDescAttr(desc_, found - 1)))
            refuse(option, "names column " + json::quote(name) + ", which is not stored");
        return found;
    }

    AttrNumber id_column(std::string_view option, const std::string &name) const {
        const AttrNumber found = column(option, name);
        if (!is_key(column_type(desc_, found)))
            refuse(option, "names column " + json::quote(name) + ", which is not a uuid, an integer or text");
        return found;
    }

    AttrNumber version_column(std::string_view option, const json::Value &value) const {
        const std::string name = text(option, value);
        const AttrNumber found = column(option, name);
        if (column_type(desc_, found) != INT4OID)
            refuse(option, "names column " + json::quote(name) + ", which is not an integer");
        return found;
    }

    const char *event_prefix(std::string_view option, const json::Value &value) const {
        const std::string prefix = text(option, value);
        if (prefix.empty() || prefix.size() > 63) refuse(option, "must have 1 to 63 bytes");
        return keep(context_, prefix);
    }

    void read_payload(std::string_view option, const json::Value &value) {
        if (!value.is_array()) refuse(option, "must be a list of column names");
        const std::size_t size = std::max<std::size_t>(value.size(), 1) * sizeof(AttrNumber);
        attachment_.payload =
            pg::call([&] { return static_cast<AttrNumber *>(MemoryContextAllocZero(context_, size)); });
        for (const json::Member element : value.members())
            attachment_.payload[attachment_.payload_count++] = column(option, text(option, element.value));
    }

    Attachment &attachment_;
    TupleDesc desc_;
    MemoryContext context_;
};
} // namespace

Attachment *read_attachment(const char *machine, const char *column, const char *options, TupleDesc desc,
                            MemoryContext context) {
    Attachment made;
    made.machine = keep(context, machine);
    made.status = find_column(desc, column);
    if (made.status == 0)
        throw Error(errc::invalid_argument, "status column " + json::quote(column) + " does not exist",
                    R"({"column":)" + json::quote(column) + "}");
    if (TupleDescAttr(desc, made.status - 1)->attgenerated != '\0')
        throw Error(errc::invalid_argument, "status column " + json::quote(column) + " is generated",
                    R"({"column":)" + json::quote(column) + "}");
    OptionReader(made, desc, context).read(options);
    auto *const kept =
        pg::call([&] { return static_cast<Attachment *>(MemoryContextAllocZero(context, sizeof(Attachment))); });
    *kept = made;
    return kept;
}

Attachment *read_attachment(const Trigger *trigger, TupleDesc desc, MemoryContext context) {
    if (trigger->tgnargs != 3)
        throw Error("39P01", "trigger " + json::quote(trigger->tgname) +
                                 " must have three arguments: machine, status column, options");
    return read_attachment(trigger->tgargs[0], trigger->tgargs[1], trigger->tgargs[2], desc, context);
}

std::optional<std::string> column_text(HeapTuple tuple, TupleDesc desc, AttrNumber column) {
    const char *const found = pg::call([&]() -> const char * {
        bool is_null = false;
        const Datum value = heap_getattr(tuple, column, desc, &is_null);
        if (is_null) return nullptr;
        const Oid type = TupleDescAttr(desc, column - 1)->atttypid;
        if (is_text(type)) return TextDatumGetCString(value);
        Oid output = InvalidOid;
        bool is_varlena = false;
        getTypeOutputInfo(type, &output, &is_varlena);
        return OidOutputFunctionCall(output, value);
    });
    return found == nullptr ? std::nullopt : std::optional<std::string>(found);
}

std::optional<Entity> entity_of(HeapTuple tuple, TupleDesc desc, AttrNumber id_column) {
    std::optional<std::string> key = column_text(tuple, desc, id_column);
    if (!key) return std::nullopt;
    const bool is_uuid = column_type(desc, id_column) == UUIDOID;
    const Uuid id = is_uuid ? parse_uuid(*key).value() : make_uuid_v8(sha256(*key));
    return Entity{std::move(*key), id, is_uuid};
}

Datum row_to_jsonb(HeapTuple tuple, TupleDesc desc) {
    return audit::row_to_jsonb(heap_copy_tuple_as_datum(tuple, desc));
}

Oid core_function(const char *name) {
    const Oid schema = pg::core_schema();
    return pg::call([&] {
        return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
                               PointerGetDatum(buildoidvector(nullptr, 0)), ObjectIdGetDatum(schema));
    });
}

std::string relation_name(Oid relation) {
    const char *const name = pg::call([&]() -> const char * {
        const char *const table = get_rel_name(relation);
        if (table == nullptr) return nullptr;
        return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), table);
    });
    return name == nullptr ? std::to_string(relation) : name;
}

} // namespace usher::machines
