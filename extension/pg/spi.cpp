#include "pg/spi.hpp"
#include "pg/kept_plans.hpp"

namespace usher::pg {

namespace {
struct SnapshotScope { // a plain frame's helper: an ERROR lets the resource owner drop the snapshot
    bool pushed = false;
    void push_latest() {
        if (!IsInParallelMode())
            PushActiveSnapshot(GetLatestSnapshot());
        else if (!IsParallelWorker()) // the leader of a parallel query may not call GetLatestSnapshot; this one is as
                                      // late,
            PushActiveSnapshot(GetCatalogSnapshot(InvalidOid)); // because it is taken anew for what has no syscache
        else
            return; // in a worker the snapshot of the leader's query must do
        pushed = true;
    }
    void pop() const {
        if (pushed) PopActiveSnapshot();
    }
};
} // namespace

bool Row::is_null(int column) const {
    if (static_cast<std::size_t>(column) >= forms_.size())
        throw Error("XX000", "internal error: no such result column");
    return nulls_[column];
}

Datum Row::required(int column) const {
    if (is_null(column)) throw Error("XX000", "internal error: a result column is null");
    return values_[column];
}

void Row::refuse_type(int column) {
    throw Error(errc::not_configured,
                "a column of a table of usher has another type than usher gave it (column " +
                    std::to_string(column + 1) + " of a statement)",
                "", "See usher.schema_drift().");
}

Datum Row::datum(int column, Oid type) const {
    const Datum value = required(column);
    if (forms_[static_cast<std::size_t>(column)].type != type) refuse_type(column);
    return value;
}

Param Row::param(int column) const {
    const bool absent = is_null(column);
    const Oid type = forms_[static_cast<std::size_t>(column)].type;
    return absent ? null(type) : pg::datum(type, values_[column]);
}

std::optional<std::string> Row::optional_text(int column) const {
    return is_null(column) ? std::nullopt : std::optional(string(column));
}
std::optional<Uuid> Row::optional_uuid(int column) const {
    return is_null(column) ? std::nullopt : std::optional(uuid(column));
}
std::optional<Instant> Row::optional_time(int column) const {
    return is_null(column) ? std::nullopt : std::optional(time(column));
}

Row Rows::operator[](std::size_t index) const {
    if (index >= count_) throw Error("XX000", "internal error: no such result row");
    return {values_ + index * columns_, nulls_ + index * columns_, {forms_, columns_}};
}

Rows Statement::run(std::span<const Param> params) {
    return call([&] { return run_plain(params); });
}

Rows Statement::run_plain(std::span<const Param> params) {
    const MemoryContext target = CurrentMemoryContext;
    if (params.size() > max_params) elog(ERROR, "too many parameters");
    SnapshotScope snapshot;
    SPI_connect();
    if (access_ == Access::latest) snapshot.push_latest();

    Oid types[max_params];
    Datum values[max_params];
    char nulls[max_params];
    for (std::size_t i = 0; i < params.size(); ++i) {
        types[i] = params[i].type;
        values[i] = to_datum(params[i]);
        nulls[i] = params[i].kind == Param::Kind::null ? 'n' : ' ';
    }
    if (plan_ == nullptr) plan_ = prepare_kept(sql_, {types, params.size()});
    const int code = SPI_execute_plan(plan_, values, nulls, access_ != Access::write, 0);
    if (code < 0) elog(ERROR, "could not execute a statement: %s", SPI_result_code_string(code));
    if (code == SPI_OK_REWRITTEN) { // a rule made nothing of it: such a plan would not notice that the rule has gone
        SPIPlanPtr const empty = std::exchange(plan_, nullptr);
        SPI_freeplan(empty);
    }

    Rows rows;
    rows.processed_ = SPI_processed;
    if (SPI_tuptable != nullptr) {
        const MemoryContext inside = MemoryContextSwitchTo(target);
        const TupleDesc desc = SPI_tuptable->tupdesc;
        rows.count_ = SPI_tuptable->numvals;
        rows.columns_ = static_cast<std::size_t>(desc->natts);
        rows.forms_ = static_cast<ResultColumn *>(palloc(sizeof(ResultColumn) * rows.columns_ + 1));
        for (int c = 0; c < desc->natts; ++c) {
            const Form_pg_attribute attribute = TupleDescAttr(desc, c);
            rows.forms_[c] = {attribute->atttypid, attribute->attlen, attribute->attbyval};
        }
        const std::size_t cells = rows.count_ * rows.columns_;
        rows.values_ = static_cast<Datum *>(palloc(sizeof(Datum) * cells + 1));
        rows.nulls_ = static_cast<bool *>(palloc(sizeof(bool) * cells + 1));
        for (std::size_t r = 0; r < rows.count_; ++r) {
            Datum *const row_values = rows.values_ + r * rows.columns_;
            bool *const row_nulls = rows.nulls_ + r * rows.columns_;
            heap_deform_tuple(SPI_tuptable->vals[r], desc, row_values, row_nulls);
            for (std::size_t c = 0; c < rows.columns_; ++c) {
                const ResultColumn &form = rows.forms_[c];
                if (row_nulls[c] || form.by_value) continue;
                row_values[c] = form.length == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(row_values[c]))
                                                  : datumCopy(row_values[c], false, form.length);
            }
        }
        MemoryContextSwitchTo(inside);
    }
    snapshot.pop();
    SPI_finish();
    return rows;
}

namespace {
struct SchemaInfo {
    Oid schema;
    Oid owner;
};

SchemaInfo look_up_schema() {
    const HeapTuple tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum("usher"));
    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("schema \"usher\" does not exist"),
                errhint("Install the extension with CREATE EXTENSION usher CASCADE."));
    const auto *const form = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple));
    const SchemaInfo info{form->oid, form->nspowner};
    ReleaseSysCache(tuple);
    return info;
}
} // namespace

Oid core_schema() {
    return call([] { return look_up_schema(); }).schema;
}

Oid core_owner() {
    return call([] { return look_up_schema(); }).owner;
}

Oid core_relation(const char *name) {
    return call([&] { return get_relname_relid(name, look_up_schema().schema); });
}

bool has_rights_of(Oid role, Oid other) {
    return call([&] { return superuser_arg(role) || (OidIsValid(other) && has_privs_of_role(role, other)); });
}

AsOwner::AsOwner() {
    GetUserIdAndSecContext(&user_, &context_);
    const Oid owner = core_owner();
    constexpr const char *own_path = "pg_catalog, pg_temp";
    if (std::strcmp(namespace_search_path, own_path) != 0) // as it is in functions that run as their owner
        settings_ = call([&] {
            const int level = NewGUCNestLevel();
            (void)set_config_option("search_path", own_path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                                    false);
            return level;
        });
    SetUserIdAndSecContext(owner, context_ | SECURITY_LOCAL_USERID_CHANGE);
}

AsOwner::~AsOwner() {
    SetUserIdAndSecContext(user_, context_);
    if (settings_ != 0) AtEOXact_GUC(false, settings_);
}

} // namespace usher::pg
