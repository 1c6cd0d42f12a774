#include "pg/result.hpp"

namespace usher::pg {

namespace {
bool same_type(Oid column, Oid value) { return column == value || (column == VARCHAROID && value == TEXTOID); }
} // namespace

RowBuilder::RowBuilder(FunctionCallInfo fcinfo) {
    desc_ = call([&] {
        TupleDesc desc;
        if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
            ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("function returning record called in context that cannot accept type record"));
        return BlessTupleDesc(desc);
    });
    call([&] {
        values_ = static_cast<Datum *>(palloc0(sizeof(Datum) * desc_->natts));
        nulls_ = static_cast<bool *>(palloc(sizeof(bool) * desc_->natts));
    });
    std::fill_n(nulls_, desc_->natts, true);
}

RowBuilder &RowBuilder::set(const char *column, const Param &value) {
    for (int i = 0; i < desc_->natts; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(desc_, i);
        if (std::strcmp(NameStr(attribute->attname), column) != 0) continue;
        if (!same_type(attribute->atttypid, value.type))
            throw Error("XX000", std::string("internal error: wrong type for result column ") + column);
        nulls_[i] = value.kind == Param::Kind::null;
        values_[i] = call([&] { return to_datum(value); });
        return *this;
    }
    throw Error("XX000", std::string("internal error: no result column ") + column);
}

Datum RowBuilder::finish() {
    return call([&] { return HeapTupleGetDatum(heap_form_tuple(desc_, values_, nulls_)); });
}

RowSet::RowSet(FunctionCallInfo fcinfo) : fcinfo_(fcinfo) {
    call([&] { InitMaterializedSRF(fcinfo, 0); });
}

void RowSet::add(std::span<const Param> columns) {
    const auto *const info = reinterpret_cast<ReturnSetInfo *>(fcinfo_->resultinfo);
    const TupleDesc desc = info->setDesc;
    if (static_cast<std::size_t>(desc->natts) != columns.size())
        throw Error("XX000", "internal error: wrong number of result columns");
    call([&] {
        auto *const values = static_cast<Datum *>(palloc(sizeof(Datum) * columns.size()));
        auto *const nulls = static_cast<bool *>(palloc(sizeof(bool) * columns.size()));
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (!same_type(TupleDescAttr(desc, i)->atttypid, columns[i].type))
                ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("result column \"%s\" has another type than its function returns",
                               NameStr(TupleDescAttr(desc, i)->attname)),
                        errhint("See usher.schema_drift()."));
            nulls[i] = columns[i].kind == Param::Kind::null;
            values[i] = to_datum(columns[i]);
        }
        tuplestore_putvalues(info->setResult, desc, values, nulls);
    });
}

Datum RowSet::finish() const {
    fcinfo_->isnull = true;
    return 0;
}

Datum result(const Param &value) {
    return call([&] { return to_datum(value); });
}

} // namespace usher::pg
