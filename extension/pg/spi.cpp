#include "pg/spi.hpp"
#include "pg/guc.hpp"

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
    if (column < 0 || column >= columns_) throw Error("XX000", "internal error: no such result column");
    return nulls_[column];
}

Datum Row::datum(int column) const {
    if (is_null(column)) throw Error("XX000", "internal error: a result column is null");
    return values_[column];
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
    return {values_ + index * columns_, nulls_ + index * columns_, columns_};
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
    if (plan_ == nullptr) {
        const SPIPlanPtr plan = SPI_prepare(sql_, static_cast<int>(params.size()), types);
        if (plan == nullptr) elog(ERROR, "could not prepare a statement: %s", SPI_result_code_string(SPI_result));
        SPI_keepplan(plan);
        plan_ = plan;
    }
    const int code = SPI_execute_plan(plan_, values, nulls, access_ != Access::write, 0);
    if (code < 0) elog(ERROR, "could not execute a statement: %s", SPI_result_code_string(code));

    Rows rows;
    rows.processed_ = SPI_processed;
    if (SPI_tuptable != nullptr) {
        const MemoryContext inside = MemoryContextSwitchTo(target);
        const TupleDesc desc = SPI_tuptable->tupdesc;
        rows.count_ = SPI_tuptable->numvals;
        rows.columns_ = desc->natts;
        const std::size_t cells = rows.count_ * rows.columns_;
        rows.values_ = static_cast<Datum *>(palloc(sizeof(Datum) * cells + 1));
        rows.nulls_ = static_cast<bool *>(palloc(sizeof(bool) * cells + 1));
        for (std::size_t r = 0; r < rows.count_; ++r) {
            Datum *const row_values = rows.values_ + r * rows.columns_;
            bool *const row_nulls = rows.nulls_ + r * rows.columns_;
            heap_deform_tuple(SPI_tuptable->vals[r], desc, row_values, row_nulls);
            for (int c = 0; c < rows.columns_; ++c) {
                const Form_pg_attribute attribute = TupleDescAttr(desc, c);
                if (row_nulls[c] || attribute->attbyval) continue;
                row_values[c] = attribute->attlen == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(row_values[c]))
                                                        : datumCopy(row_values[c], false, attribute->attlen);
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

AsOwner::AsOwner() {
    GetUserIdAndSecContext(&user_, &context_);
    SetUserIdAndSecContext(core_owner(), context_ | SECURITY_LOCAL_USERID_CHANGE);
}

bool is_restoring() {
    if (guc::restoring || SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA) return true;
    // What pg_dump writes at the top of every dump, and pg_restore sends, and nobody else sets together. Only for who
    // could switch the triggers off as well.
    if (check_function_bodies) return false;
    return call([] {
        return std::strcmp(GetConfigOption("row_security", false, false), "off") == 0 &&
               has_privs_of_role(GetOuterUserId(), look_up_schema().owner);
    });
}

} // namespace usher::pg
