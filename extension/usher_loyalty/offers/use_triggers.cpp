// The row triggers of offer_uses: which use of a customer it is, and the counters of offer and voucher, which hold for
// every writer. The offer is locked first, so its uses come one after the other; before it, a use of the same reference
// that somebody gives back at this moment, for they wait for the offer.
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/points/following.hpp"

namespace usher::loyalty {

namespace {
enum Column : std::uint8_t { offer_id, customer_id, voucher_id, nth, is_released, reference_type, reference_id };
constexpr std::array forms{ColumnForm{"offer_id", UUIDOID},    ColumnForm{"customer_id", UUIDOID},
                           ColumnForm{"voucher_id", UUIDOID},  ColumnForm{"nth", INT4OID},
                           ColumnForm{"is_released", BOOLOID}, ColumnForm{"reference_type", TEXTOID},
                           ColumnForm{"reference_id", UUIDOID}};
constinit Columns<forms.size()> columns{forms};

constinit Statement lock_use{R"(
    SELECT FROM @.offer_uses AS u
    WHERE u.reference_id = $1 AND u.reference_type = $2 AND u.offer_id = $3 AND NOT u.is_released FOR NO KEY UPDATE)"};
constinit Statement lock_offer{R"(
    SELECT o.max_per_customer
    FROM @.loyalty_offers AS o
    WHERE o.id = $1 FOR NO KEY UPDATE)"};
constinit Statement count_uses{R"(
    SELECT coalesce(max(u.nth), 0), (count(*) FILTER (WHERE NOT u.is_released))::integer
    FROM @.offer_uses AS u
    WHERE u.offer_id = $1 AND u.customer_id = $2)"};
constinit Statement change_offer{R"(
    UPDATE @.loyalty_offers AS o
    SET uses = o.uses + $2
    WHERE o.id = $1 AND coalesce(o.uses + $2 <= o.max_uses, true))"};
constinit Statement change_voucher{R"(
    UPDATE @.offer_vouchers AS v
    SET uses = v.uses + $2
    WHERE v.id = $1 AND v.uses + $2 <= v.max_uses AND v.offer_id = $3)"};

[[noreturn]] void refuse(const TableRow &row, std::string_view rule) {
    throw Error(errc::offer_exhausted, "offer cannot be used any more",
                json::Object()
                    .add("offer_id", row.uuid(offer_id))
                    .add("customer_id", row.uuid(customer_id))
                    .add("rule", rule)
                    .text());
}
} // namespace

} // namespace usher::loyalty

/// _number_use(): BEFORE INSERT on offer_uses, for each row
USHER_FUNCTION(usher_loyalty_number_use) {
    using namespace usher;
    using namespace usher::loyalty;
    const RowTrigger trigger(fcinfo, true, "offer_uses");
    if (kit::is_restoring() || trigger.is_update) return PointerGetDatum(trigger.after());
    const Relation relation = trigger.data->tg_relation;
    const TableRow row(trigger.after(), relation, columns.look_up(relation));
    lock_use.run(trigger.schema,
                 {pg::uuid(row.uuid(reference_id)), pg::text(row.text(reference_type)), pg::uuid(row.uuid(offer_id))});
    const pg::Rows offers = lock_offer.run(trigger.schema, {pg::uuid(row.uuid(offer_id))});
    if (offers.empty())
        throw Error(errc::unknown_reference, "offer does not exist",
                    json::Object().add("offer_id", row.uuid(offer_id)).text());
    const pg::Rows counted =
        count_uses.run(trigger.schema, {pg::uuid(row.uuid(offer_id)), pg::uuid(row.uuid(customer_id))});
    if (!offers.front().is_null(0) && counted.front().int4(1) >= offers.front().int4(0)) refuse(row, "customer");
    return PointerGetDatum(row.with({{nth, pg::int4(counted.front().int4(0) + 1)}, {is_released, pg::boolean(false)}}));
}

/// _count_use(): AFTER INSERT OR UPDATE on offer_uses, for each row
USHER_FUNCTION(usher_loyalty_count_use) {
    using namespace usher;
    using namespace usher::loyalty;
    const RowTrigger trigger(fcinfo, false, "offer_uses");
    if (kit::is_restoring()) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const AttrNumber *const numbers = columns.look_up(relation);
    const TableRow row(trigger.after(), relation, numbers);
    if (trigger.is_update && !row.differs(TableRow(trigger.before(), relation, numbers), is_released)) return Datum{0};
    const pg::Param step = pg::int4(trigger.is_update ? -1 : 1);
    const Following now;
    if (change_offer.run(trigger.schema, {pg::uuid(row.uuid(offer_id)), step}).processed() == 0) refuse(row, "offer");
    if (const auto voucher = row.optional_uuid(voucher_id))
        if (change_voucher.run(trigger.schema, {pg::uuid(*voucher), step, pg::uuid(row.uuid(offer_id))}).processed() ==
            0)
            refuse(row, "voucher");
    return Datum{0};
}
