#include "pg/args.hpp"
#include "pg/direct_insert.hpp"
#include "pg/foreign_call.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/time_limit.hpp"
#include "usher/events/events.hpp"
#include "usher/events/subscriptions.hpp"
#include "usher/operations/settings.hpp"
#include "usher/operations/worker.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::events {

namespace {
constexpr int max_depth = 16;
constexpr std::size_t max_name = 100, max_key = 255;

constinit pg::Statement insert_event{R"(
    INSERT INTO usher.events (id, event, payload, key, causation_id, depth, user_id, correlation_id, publisher)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))"};
// A second one with the same dedupe key waits for the end of the transaction that has the first.
constinit pg::Statement insert_once{R"(
    INSERT INTO usher.events (id, event, payload, key, causation_id, depth, user_id, correlation_id, publisher,
                              dedupe_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (event, dedupe_key)
    WHERE dedupe_key IS NOT NULL DO NOTHING)"};
constinit pg::Statement find_duplicate{R"(
    SELECT e.id, e.publisher IS NOT DISTINCT FROM $3
    FROM usher.events e
    WHERE e.event OPERATOR(pg_catalog.=) $1 AND e.dedupe_key OPERATOR(pg_catalog.=) $2 FOR NO KEY UPDATE)"};
// The deliveries are locked first: nobody may claim one while the payload changes.
constinit pg::Statement lock_deliveries{R"(
    SELECT d.attempts
    FROM usher.deliveries d
    WHERE d.event_id OPERATOR(pg_catalog.=) $1 ORDER BY d.consumer FOR UPDATE)"};
constinit pg::Statement replace_payload{R"(
    UPDATE usher.events
    SET payload = $2, created_at = pg_catalog.clock_timestamp(), user_id = $3, correlation_id = $4
    WHERE id OPERATOR(pg_catalog.=) $1)"};
constinit pg::Statement release_dedupe_key{
    "UPDATE usher.events SET dedupe_key = NULL WHERE id OPERATOR(pg_catalog.=) $1"};
constinit pg::Statement insert_deliveries{R"(
    INSERT INTO usher.deliveries (event_id, consumer, event, key)
    SELECT $1, c.consumer, $3, $4
    FROM pg_catalog.unnest($2) AS c (consumer))"};
constinit pg::Statement notify{
    "SELECT pg_catalog.pg_notify('usher_events', c.consumer) FROM pg_catalog.unnest($1) AS c (consumer)"};
constinit pg::Statement find_event{"SELECT e.event, e.payload, e.depth, e.publisher IS NOT NULL FROM usher.events e"
                                   " WHERE e.id OPERATOR(pg_catalog.=) $1"};

// The event whose handler runs now: the cause of whatever that handler publishes.
struct Frame {
    Uuid id;
    int depth;
};
constinit const Frame *running = nullptr;

class Running { // errors arrive as exceptions, so this always comes back
public:
    explicit Running(const Frame &frame) : outer_(running) { running = &frame; }
    ~Running() { running = outer_; }
    Running(const Running &) = delete;
    Running &operator=(const Running &) = delete;

private:
    const Frame *outer_;
};

bool is_event_name(std::string_view name) {
    if (name.empty() || name.size() > max_name || name.front() == '.' || name.back() == '.') return false;
    char last = '\0';
    for (const char c : name) {
        const bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c == '.' && last != '.');
        if (!ok) return false;
        last = c;
    }
    return true;
}

// As the handler's owner, whoever publishes: a handler may write its feature's tables, which the publisher may not.
void call_handler(const Subscription &subscription, Datum event, Datum payload) {
    pg::call([&] {
        const pg::ForeignArgument arguments[] = {{event}, {payload}};
        (void)pg::call_as_owner(subscription.handler, arguments);
    });
}

/// What makes an event unique, and what happens to the second one.
struct Dedupe {
    std::string_view key;
    bool replaces = false;
};

/// usher.events, as publish() fills it.
constexpr std::array event_columns{
    pg::ColumnForm{"id", UUIDOID, true},       pg::ColumnForm{"event", TEXTOID, true},
    pg::ColumnForm{"payload", JSONBOID, true}, pg::ColumnForm{"key", TEXTOID},
    pg::ColumnForm{"dedupe_key", TEXTOID},     pg::ColumnForm{"causation_id", UUIDOID},
    pg::ColumnForm{"depth", INT4OID, true},    pg::ColumnForm{"user_id", UUIDOID},
    pg::ColumnForm{"correlation_id", TEXTOID}, pg::ColumnForm{"created_at", TIMESTAMPTZOID, true},
    pg::ColumnForm{"publisher", TEXTOID}};
constexpr std::array event_checks{"event <> '' AND octet_length(event) <= 100", "jsonb_typeof(payload) = 'object'",
                                  "octet_length(key) BETWEEN 1 AND 255", "octet_length(dedupe_key) BETWEEN 1 AND 255",
                                  "depth >= 0"};
constexpr pg::TableForm events_form{.columns = event_columns, .checks = event_checks};

/// Writes the event, in the order of the columns of insert_event.
void insert_new(std::span<const pg::Param> values) {
    const std::array row{values[0], values[1], values[2], values[3], pg::null(TEXTOID),
                         values[4], values[5], values[6], values[7], pg::timestamptz(pg::clock_time()),
                         values[8]};
    if (!pg::insert_directly(pg::core_relation("events"), events_form, row)) insert_event.run(values);
}

/// Writes the event unless there is one with the same dedupe key that takes its place; that one's id then.
std::optional<Uuid> insert_unless_known(std::span<const pg::Param> columns, const Dedupe &dedupe) {
    std::vector<pg::Param> params(columns.begin(), columns.end());
    const pg::Param event = params[1], payload = params[2], user = params[6], correlation = params[7];
    const pg::Param publisher = params[8];
    params.push_back(pg::text(dedupe.key));
    for (;;) {
        if (insert_once.run(params).processed() > 0) return std::nullopt;
        const pg::Rows found = find_duplicate.run({event, pg::text(dedupe.key), publisher});
        if (found.empty()) continue; // retired just now
        const Uuid id = found.front().uuid(0);
        if (!found.front().boolean(1)) { // from before the event had this publisher: it stands for nothing
            release_dedupe_key.run({pg::uuid(id)});
            continue;
        }
        if (!dedupe.replaces) return id;
        const pg::Rows deliveries = lock_deliveries.run({pg::uuid(id)});
        bool waits = !deliveries.empty();
        for (std::size_t i = 0; i < deliveries.size(); ++i) waits = waits && deliveries[i].int4(0) == 0;
        if (waits) {
            replace_payload.run({pg::uuid(id), payload, user, correlation});
            return id;
        }
        release_dedupe_key.run({pg::uuid(id)}); // somebody has seen it: the new one is another event
    }
}

/// The subscriptions that an event reaches. Copies: a handler that subscribes changes the cache.
struct Reached {
    std::vector<Subscription> sync;
    std::vector<std::string> async;
};

Reached reached_by(std::string_view event, bool has_publisher) {
    Reached reached;
    for (const Subscription &each : subscriptions()) {
        if (!each.matches(event) || !each.trusts(has_publisher)) continue;
        if (!each.is_sync)
            reached.async.push_back(each.consumer);
        else if (OidIsValid(each.handler))
            reached.sync.push_back(each);
    }
    std::vector<std::string> &async = reached.async;
    std::sort(async.begin(), async.end()); // one delivery, though several patterns of a consumer match
    async.erase(std::unique(async.begin(), async.end()), async.end());
    return reached;
}

Uuid publish_jsonb(std::string_view event, Datum payload, std::optional<std::string_view> key, Oid role,
                   const std::optional<Dedupe> &dedupe = std::nullopt) {
    if (!is_event_name(event))
        throw Error(errc::invalid_argument,
                    "event must be words of a-z, 0-9 and _ joined by dots, at most 100 characters");
    if (key && (key->empty() || key->size() > max_key))
        throw Error(errc::invalid_argument, "key must have 1 to 255 bytes");
    if (dedupe && (dedupe->key.empty() || dedupe->key.size() > max_key))
        throw Error(errc::invalid_argument, "dedupe_key must have 1 to 255 bytes");
    if (!pg::call([&] { return JB_ROOT_IS_OBJECT(DatumGetJsonbP(payload)) != 0; }))
        throw Error(errc::invalid_argument, "payload must be a JSON object");
    const int depth = running == nullptr ? 0 : running->depth + 1;
    if (depth > max_depth)
        throw Error(errc::event_loop,
                    "event handlers published events in a chain of more than " + std::to_string(max_depth),
                    R"({"event": ")" + std::string(event) + R"("})",
                    "A handler may publish only events that do not lead back to it.");

    const Frame frame{pg::new_uuid(), depth};
    const request::Identity *const who = request::current();
    const std::string_view correlation_id = request::context().correlation_id;
    const std::optional<std::string> published_by = publisher(event, role);
    Reached reached;
    {
        const pg::AsOwner owner;
        const pg::Param key_param = pg::text_or_null(key);
        const std::array<pg::Param, 9> columns{pg::uuid(frame.id),
                                               pg::text(event),
                                               pg::datum(JSONBOID, payload),
                                               key_param,
                                               pg::uuid_or_null(running == nullptr ? nullptr : &running->id),
                                               pg::int4(depth),
                                               pg::uuid_or_null(who == nullptr ? nullptr : &who->user_id),
                                               pg::text_unless_empty(correlation_id),
                                               pg::text_or_null(published_by)};
        if (!dedupe)
            insert_new(columns);
        else if (const std::optional<Uuid> known = insert_unless_known(columns, *dedupe))
            return *known;
        // After the event has its row: whoever subscribes to what was published before (subscribe(…, since)) locks the
        // table, and either finds the row or is found here.
        reached = reached_by(event, published_by.has_value());
        if (!reached.async.empty()) {
            insert_deliveries.run({pg::uuid(frame.id), pg::text_array(reached.async), pg::text(event), key_param});
            if (guc::notify_events) notify.run({pg::text_array(reached.async)});
        }
    }
    if (!reached.sync.empty()) {
        const Running now(frame);
        const Datum name = pg::result(pg::text(event));
        for (const Subscription &each : reached.sync) call_handler(each, name, payload);
    }
    return frame.id;
}

// Async subscriptions with a handler are served by the worker; without preload by whoever calls
// usher.run_event_handlers(). One event in each transaction: handlers of several would lock in the order in which
// events came, which is nobody's order.
constinit pg::Statement run_handler_of_one{
    "SELECT h.handled OPERATOR(pg_catalog.+) h.failed FROM usher.run_event_handlers(1) AS h"};
[[maybe_unused]] const bool registered = [] {
    operations::work_in_pieces("running event handlers", [] { return run_handler_of_one.run().front().int4(0) > 0; });
    return true;
}();
} // namespace

Uuid publish(std::string_view event, std::string_view payload, std::optional<std::string_view> key, Oid role) {
    return publish_jsonb(event, pg::result(pg::jsonb(payload)), key, OidIsValid(role) ? role : GetUserId());
}

bool run_handler(const Uuid &event_id, std::string_view consumer) {
    const pg::Rows rows = [&] {
        const pg::AsOwner owner;
        return find_event.run({pg::uuid(event_id)});
    }();
    if (rows.empty()) throw Error(errc::unknown_reference, "event does not exist");
    const pg::Row event = rows.front();
    for (const Subscription &each : subscriptions()) {
        if (each.is_sync || each.consumer != consumer || !OidIsValid(each.handler) || !each.matches(event.text(0)))
            continue;
        if (!each.trusts(event.boolean(3)))
            throw Error(errc::not_permitted, "nobody had declared the event, so that anybody may have published it");
        const Subscription subscription = each;
        const Frame frame{event_id, event.int4(2)};
        const Running now(frame);
        pg::within(guc::handler_timeout, "the handler took longer than usher.handler_timeout",
                   [&] { call_handler(subscription, event.datum(0, TEXTOID), event.datum(1, JSONBOID)); });
        return true;
    }
    return false;
}

} // namespace usher::events

using namespace usher;

/// usher.publish(event, payload, key, dedupe_key, dedupe)
USHER_FUNCTION(usher_events_publish) {
    const pg::Args args(fcinfo);
    const std::string_view event = args.text(0);
    if (args.is_null(1)) args.refuse_null(1);
    std::optional<events::Dedupe> dedupe;
    if (const std::optional<std::string_view> key = args.optional_text(3)) {
        const std::string_view mode = args.text(4);
        if (mode != "ignore" && mode != "replace")
            throw Error(errc::invalid_argument, "dedupe must be ignore or replace");
        dedupe = {*key, mode == "replace"};
    }
    return pg::result(
        pg::uuid(events::publish_jsonb(event, PG_GETARG_DATUM(1), args.optional_text(2), GetUserId(), dedupe)));
}

/// usher._run_event_handler(event_id, consumer)
USHER_FUNCTION(usher_events_run_handler) {
    const pg::Args args(fcinfo);
    return BoolGetDatum(events::run_handler(args.uuid(0), args.text(1)));
}
