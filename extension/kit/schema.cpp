#include "kit/schema.hpp"
#include "common/json.hpp"
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace usher::kit {

namespace {
// Every schema in which functions of this library have been called, with the name that it had last. Features have
// schemas of their own, and some DBAs have several of them in one database.
struct Known {
    Oid schema = InvalidOid;
    NameData name{};
    std::uint64_t generation = 0;
};
constinit std::array<Known, 16> known{};
constinit std::size_t next_place = 0;
constinit std::uint64_t generations = 0;

/// Plain frame.
const Known &look_up(Oid schema) {
    char *const name = get_namespace_name(schema);
    if (name == nullptr) elog(ERROR, "could not find the schema of a function");
    auto *found = std::find_if(known.begin(), known.end(), [&](const Known &each) { return each.schema == schema; });
    if (found == known.end()) {
        found = &known[next_place];
        next_place = (next_place + 1) % known.size();
        found->schema = InvalidOid;
    }
    if (found->schema != schema || std::strcmp(name, NameStr(found->name)) != 0) {
        found->schema = schema;
        namestrcpy(&found->name, name);
        found->generation = ++generations;
    }
    pfree(name);
    return *found;
}

/// Plain frame.
bool is_function(Oid schema, const char *name) {
    CatCList *const candidates = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
    bool is_there = false;
    for (int i = 0; i < candidates->n_members; ++i)
        if (reinterpret_cast<Form_pg_proc>(GETSTRUCT(&candidates->members[i]->tuple))->pronamespace == schema)
            is_there = true;
    ReleaseSysCacheList(candidates);
    return is_there;
}

pg::Param array_of(Oid type, int length, char align, std::vector<Datum> values, const bool *nulls) {
    const Datum array = pg::call([&] {
        int size = static_cast<int>(values.size());
        int lower = 1;
        return PointerGetDatum(construct_md_array(values.data(), const_cast<bool *>(nulls), 1, &size, &lower, type,
                                                  length, length <= 8, align));
    });
    return pg::datum(pg::call([&] { return get_array_type(type); }), array);
}
} // namespace

Schema::Schema(FunctionCallInfo fcinfo) {
    const Known &found = *pg::call([&] { return &look_up(get_func_namespace(fcinfo->flinfo->fn_oid)); });
    oid_ = found.schema;
    generation_ = found.generation;
    name_ = &found.name;
}

pg::Rows Statement::run(const Schema &schema, std::span<const pg::Param> params) {
    if (prepared_ == nullptr || generation_ != schema.generation()) {
        const std::string name = pg::call([&] { return quote_identifier(NameStr(*schema.name_)); });
        std::string sql;
        for (const char *at = sql_; *at != '\0'; ++at) {
            if (*at == '@' && at[1] == '.')
                sql += name;
            else
                sql += *at;
        }
        // The text and the statement live as long as the backend; schemas change at most now and then.
        prepared_ = new pg::Statement((new std::string(std::move(sql)))->c_str(), access_);
        generation_ = schema.generation();
    }
    return prepared_->run(params);
}

void require_table(const TriggerData *data, const Schema &schema, const char *table) {
    const Oid ours = pg::call([&] { return get_relname_relid(table, schema.oid()); });
    if (RelationGetRelid(data->tg_relation) != ours)
        throw Error("39P01", "trigger " + json::quote(data->tg_trigger->tgname) + " fires on table " +
                                 json::quote(RelationGetRelationName(data->tg_relation)) +
                                 ", which its function is not made for");
}

int column_number(Relation table, const char *column, Oid type, bool is_optional) {
    const TupleDesc desc = RelationGetDescr(table);
    const int number = pg::call([&] { return SPI_fnumber(desc, column); });
    if (is_optional && number <= 0) return InvalidAttrNumber;
    if (number <= 0 || TupleDescAttr(desc, number - 1)->atttypid != type)
        throw Error(errc::not_configured, "table " + json::quote(RelationGetRelationName(table)) + " has no column " +
                                              json::quote(column) + " of the type that its extension gave it");
    return number;
}

bool has_column(const Schema &schema, const char *table, const char *column) {
    return pg::call([&] {
        const Oid found = get_relname_relid(table, schema.oid());
        return OidIsValid(found) && get_attnum(found, column) != InvalidAttrNumber;
    });
}

bool has_function(const Schema &schema, const char *name) {
    return pg::call([&] { return is_function(schema.oid(), name); });
}

bool core_has_function(const char *name) {
    return pg::call([&] { return is_function(get_namespace_oid("usher", false), name); });
}

bool was_ever_used(const Schema &schema, const char *table) {
    return pg::call([&] {
        const Oid found = get_relname_relid(table, schema.oid());
        if (!OidIsValid(found))
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table \"%s\" does not exist", table));
        Relation const relation = relation_open(found, AccessShareLock);
        const bool is_used = table_relation_size(relation, MAIN_FORKNUM) > 0;
        relation_close(relation, NoLock);
        return is_used;
    });
}

pg::Param time_array(const std::vector<Instant> &values) {
    std::vector<Datum> datums;
    datums.reserve(values.size());
    for (const Instant each : values) datums.push_back(TimestampTzGetDatum(pg::timestamp_of(each)));
    return array_of(TIMESTAMPTZOID, 8, TYPALIGN_DOUBLE, std::move(datums), nullptr);
}

pg::Param time_range(const TimeRange &range) {
    RangeBound from{TimestampTzGetDatum(pg::timestamp_of(range.from)), false, true, true};
    RangeBound until{TimestampTzGetDatum(pg::timestamp_of(range.until)), false, false, false};
    return pg::datum(TSTZRANGEOID, pg::call([&] {
                         TypeCacheEntry *const type = lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO);
                         return RangeTypePGetDatum(pg::make_range(type, &from, &until));
                     }));
}

pg::Param date(std::int32_t days_since_1970) {
    return pg::datum(DATEOID, DateADTGetDatum(days_since_1970 - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)));
}

pg::Param date_array(const std::vector<std::int32_t> &days_since_1970) {
    std::vector<Datum> datums;
    datums.reserve(days_since_1970.size());
    for (const std::int32_t each : days_since_1970)
        datums.push_back(DateADTGetDatum(each - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)));
    return array_of(DATEOID, 4, TYPALIGN_INT, std::move(datums), nullptr);
}

pg::Param uuid_array_or_null(const std::vector<std::optional<Uuid>> &values) {
    std::vector<Datum> datums;
    const std::unique_ptr<bool[]> nulls(new bool[values.size() + 1]());
    for (std::size_t i = 0; i < values.size(); ++i) {
        datums.push_back(values[i] ? UUIDPGetDatum(reinterpret_cast<const pg_uuid_t *>(values[i]->bytes.data()))
                                   : Datum{0});
        nulls[i] = !values[i];
    }
    return array_of(UUIDOID, 16, TYPALIGN_CHAR, std::move(datums), nulls.get());
}

} // namespace usher::kit
