// A row inside a trigger of one of an extension's tables: columns by a number of the trigger's own, read by type.
#pragma once
#include "kit/schema.hpp"
#include <array>

namespace usher::kit {

struct ColumnForm {
    const char *name;
    Oid type;
    bool is_optional = false; // the scripts of 0.9.0 do not have it: NULL in every row
};

/// Where the columns are in the table that this backend sees. Make it `static constinit`.
template <std::size_t N> class Columns {
public:
    constexpr explicit Columns(const std::array<ColumnForm, N> &forms) : forms_(forms) {}

    const AttrNumber *look_up(Relation relation) {
        const std::uint64_t now = pg::call([] { return pg::relation_changes(); });
        if (RelationGetRelid(relation) == table_ && changes_ == now) return numbers_.data();
        table_ = InvalidOid;
        for (std::size_t i = 0; i < N; ++i)
            numbers_[i] =
                static_cast<AttrNumber>(column_number(relation, forms_[i].name, forms_[i].type, forms_[i].is_optional));
        table_ = RelationGetRelid(relation);
        changes_ = now;
        return numbers_.data();
    }

private:
    const std::array<ColumnForm, N> &forms_;
    std::array<AttrNumber, N> numbers_{};
    Oid table_ = InvalidOid;
    std::uint64_t changes_ = 0;
};

/// Values live as long as the tuple.
class TableRow {
public:
    TableRow(HeapTuple tuple, Relation relation, const AttrNumber *numbers)
        : tuple_(tuple), desc_(RelationGetDescr(relation)), numbers_(numbers) {}

    [[nodiscard]] bool is_null(int column) const;
    [[nodiscard]] std::optional<Uuid> optional_uuid(int column) const;
    [[nodiscard]] Uuid uuid(int column) const { return pg::uuid_of(datum(column)); }
    [[nodiscard]] std::string_view text(int column) const; // empty when NULL
    [[nodiscard]] std::int64_t int8(int column) const;     // 0 when NULL
    [[nodiscard]] std::int32_t int4(int column) const { return DatumGetInt32(datum(column)); }
    [[nodiscard]] Instant instant(int column) const { return pg::instant_of(datum(column)); }
    [[nodiscard]] std::optional<Instant> optional_time(int column) const;
    [[nodiscard]] bool boolean(int column) const { return !is_null(column) && DatumGetBool(datum(column)); }
    /// NULLs are equal to each other.
    [[nodiscard]] bool differs(const TableRow &other, int column) const;
    [[nodiscard]] HeapTuple tuple() const { return tuple_; }
    /// The row with these columns changed.
    HeapTuple with(std::initializer_list<std::pair<int, pg::Param>> changes) const;

private:
    [[nodiscard]] Datum datum(int column) const; // throws 23502 when NULL
    HeapTuple tuple_;
    TupleDesc desc_;
    const AttrNumber *numbers_;
};

/// How a row trigger of ours was called. Throws 39P01 when it does not fit.
struct RowTrigger {
    RowTrigger(FunctionCallInfo fcinfo, bool is_before, const char *table);
    TriggerData *data;
    Schema schema;
    bool is_update;
    [[nodiscard]] HeapTuple before() const { return data->tg_trigtuple; } // of an UPDATE
    [[nodiscard]] HeapTuple after() const { return is_update ? data->tg_newtuple : data->tg_trigtuple; }
};

/// Of a trigger AFTER any change, for rows (what another server sends fires no other) and for TRUNCATE: tells every
/// backend that what it keeps of the table is old, as a change of its columns would. For small tables that change
/// seldom.
Datum announce_table(FunctionCallInfo fcinfo);

} // namespace usher::kit
