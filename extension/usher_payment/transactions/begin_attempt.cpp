#include "common/json_object.hpp"
#include "usher_payment/settlement/report.hpp"
#include "usher_payment/transactions/payment_permissions.hpp"

namespace usher::payment {

namespace {
// Attempt before transaction: whoever reports a result locks them in this order.
constinit Statement lock_live{R"(
    SELECT a.id, a.outcome
    FROM @.payment_attempts AS a
    WHERE a.transaction_id = $1 AND a.outcome IN ('requested', 'unknown') FOR NO KEY UPDATE)"};
constinit Statement find_payment{R"(
    SELECT t.user_id, t.location_id, t.reference_type, t.reference_id
    FROM @.payment_transactions AS t
    WHERE t.id = $1)"};
constinit Statement lock_payment{R"(
    SELECT t.status, t.closed_at IS NOT NULL, t.attempt_count, t.processor, t.version
    FROM @.payment_transactions AS t
    WHERE t.id = $1 FOR NO KEY UPDATE)"};
constinit Statement ask_again{"UPDATE @.payment_attempts AS a SET outcome = 'requested' WHERE a.id = $1"};
constinit Statement read_attempt{R"(
    SELECT a.id, a.attempt_no, a.provider_key, t.version
    FROM @.payment_attempts AS a JOIN @.payment_transactions AS t ON t.id = a.transaction_id
    WHERE a.transaction_id = $1
    ORDER BY a.attempt_no DESC LIMIT 1)"};
constinit Statement insert{R"(
    INSERT INTO @.payment_attempts (id, transaction_id, attempt_no, processor, provider_key, saved_method_id, requested_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7))"};
constinit Statement find_method{"SELECT m.processor FROM @.payment_methods AS m WHERE m.id = $1 AND m.is_active AND "
                                "(m.user_id = $2 OR m.customer_id "
                                "= (SELECT t.customer_id FROM @.payment_transactions AS t WHERE t.id = $3))"};

/// Throws 22023 unless payment_attempts can keep it. There is a name.
void require_processor(std::string_view name) {
    constexpr std::size_t longest = 20;
    const bool begins_well = name.front() >= 'a' && name.front() <= 'z';
    if (name.size() > longest || !begins_well ||
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string_view::npos)
        throw Error(errc::invalid_argument, "processor must have 1 to 20 of a-z, 0-9 and _, and begin with a letter",
                    R"({"argument":"processor"})");
}

/// payment.max_attempts, as the extension has registered it.
int max_attempts() {
    const char *const text = pg::call([] { return GetConfigOption("payment.max_attempts", true, false); });
    const int number = text == nullptr ? 0 : std::atoi(text);
    return number > 0 ? number : 5;
}

Datum receipt(FunctionCallInfo fcinfo, const Schema &schema, const Uuid &transaction, bool is_replayed) {
    const pg::Rows rows = read_attempt.run(schema, {pg::uuid(transaction)});
    const pg::Row attempt = rows.front();
    pg::RowBuilder row(fcinfo);
    row.set("attempt_id", attempt.param(0)).set("attempt_no", attempt.param(1));
    row.set("provider_key", attempt.param(2)).set("version", attempt.param(3));
    row.set("replayed", pg::boolean(is_replayed));
    return row.finish();
}
} // namespace

} // namespace usher::payment

/// begin_payment_attempt(transaction_id, processor, saved_method_id, expected_version)
USHER_FUNCTION(usher_payment_begin_attempt) {
    using namespace usher;
    using namespace usher::payment;
    const pg::Args args(fcinfo);
    const Schema schema(fcinfo);
    const Uuid transaction = args.uuid(0);
    const pg::Rows found = find_payment.run(schema, {pg::uuid(transaction)});
    if (found.empty()) {
        (void)may("payment:manage", std::nullopt); // nobody who may not ask learns that it does not exist
        refuse_transaction(transaction);
    }
    const std::optional<Uuid> actor = kit::current_user(), owner = found.front().optional_uuid(0);
    const bool is_own = owner && acting_person(schema) == owner;
    if (!is_own) {
        const std::optional<Uuid> place = place_of(schema, found.front().optional_uuid(1),
                                                   found.front().optional_text(2), found.front().optional_uuid(3));
        if (!may("payment:manage", place) && !may("payment:process", place)) refuse_transaction(transaction);
    }
    announce(found.front().optional_text(2), found.front().optional_uuid(3), transaction);
    const pg::Rows live = lock_live.run(schema, {pg::uuid(transaction)});
    const pg::Rows rows = lock_payment.run(schema, {pg::uuid(transaction)});
    const pg::Row payment = rows.front();
    check_version(payment.int4(4), args.is_null(3) ? std::nullopt : std::optional(args.int4(3)), transaction);
    const json::Object about = json::Object().add("transaction_id", transaction);
    if (payment.boolean(1)) throw Error(errc::payment_closed, "payment was given up", about.text());
    const std::string_view status = payment.text(0);
    if (status == "processing") {
        if (!live.empty() && live.front().text(1) == "unknown") ask_again.run(schema, {live.front().param(0)});
        return receipt(fcinfo, schema, transaction, true);
    }
    if (status != "pending" && status != "failed")
        throw Error(errc::illegal_transition, "payment is " + std::string(status) + " already",
                    json::Object().add("transaction_id", transaction).add("status", status).text());
    if (payment.int4(2) >= max_attempts())
        throw Error(
            errc::attempts_exhausted, "payment was tried too often",
            json::Object().add("transaction_id", transaction).add("attempts", std::int64_t{payment.int4(2)}).text());

    std::string processor(args.optional_text(1).value_or(""));
    const std::optional<Uuid> saved = args.optional_uuid(2);
    if (saved) {
        const pg::Rows methods =
            find_method.run(schema, {pg::uuid(*saved), pg::uuid_or_null(owner), pg::uuid(transaction)});
        if (methods.empty())
            throw Error(errc::unknown_reference, "saved method does not exist",
                        json::Object().add("id", *saved).text());
        if (processor.empty()) processor = methods.front().string(0);
    }
    if (processor.empty()) processor = payment.optional_text(3).value_or("");
    if (processor.empty() || processor == "manual")
        throw Error(errc::invalid_argument, "a processor is needed", R"({"argument":"processor"})",
                    "What people take themselves is recorded with record_manual_payment().");
    require_processor(processor);
    const Uuid attempt = pg::new_uuid();
    const std::string key = "usher-" + to_string(attempt);
    insert.run(schema, {pg::uuid(attempt), pg::uuid(transaction), pg::int4(payment.int4(2) + 1), pg::text(processor),
                        pg::text(key), pg::uuid_or_null(saved), pg::uuid_or_null(actor ? &*actor : nullptr)});
    return receipt(fcinfo, schema, transaction, false);
}
