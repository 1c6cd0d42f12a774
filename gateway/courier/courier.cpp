#include "courier/courier.hpp"
#include "common/encoding.hpp"
#include "courier/mail.hpp"
#include "courier/request_sender.hpp"
#include "log.hpp"
#include <nlohmann/json.hpp>
#include <utility>

namespace usher::courier {

using namespace std::chrono_literals;
using gateway::Clock;
using gateway::Database;
using gateway::Level;
using gateway::log;
using gateway::Outcome;
using Json = nlohmann::json;

void Bell::ring() {
    {
        const std::lock_guard lock(mutex_);
        ++rings_;
    }
    condition_.notify_all();
}

void Bell::wait(std::uint64_t &heard, std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    condition_.wait_for(lock, longest, [&] { return rings_ != heard; });
    heard = rings_;
}

std::optional<std::string> Home::schema(Database &database) {
    const std::lock_guard lock(mutex_);
    if (!schema_.empty()) return schema_;
    const Outcome outcome = database.run(nullptr,
                                         "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e "
                                         "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace "
                                         "WHERE e.extname = 'usher_courier'",
                                         {}, -1);
    if (outcome.kind != Outcome::Kind::row || !outcome.row.at(0)) return std::nullopt;
    schema_ = *outcome.row.at(0);
    return schema_;
}

void Home::forget() {
    const std::lock_guard lock(mutex_);
    schema_.clear();
}

/// One thread with a connection of its own.
class Courier::Worker {
public:
    Worker(Courier &courier, const char *kind, int number, const CourierConfig &config)
        : courier_(courier),
          kind_(kind),
          name_(config.worker + ':' + kind + ':' + std::to_string(number)),
          database_(config, config.database, courier.back_off_, courier.metrics_) {}
    virtual ~Worker() = default;

    void run() {
        std::uint64_t heard = 0;
        while (!courier_.is_finishing_) {
            const std::size_t claimed = work_once();
            if (claimed == 0 && !courier_.is_finishing_)
                courier_.bell_.wait(heard, std::chrono::milliseconds(courier_.config_.poll_ms));
        }
    }

protected:
    /// Claims a few and sends them; returns how many there were.
    virtual std::size_t work_once() = 0;

    // The schema of the extension, or nothing while the database or the extension is not there.
    std::optional<std::string> home() {
        return database_.ensure_connected() ? courier_.home_.schema(database_) : std::nullopt;
    }

    // One row of text, or nothing when the database could not be asked.
    std::optional<std::string> ask(const std::string &sql, const std::vector<const char *> &parameters) {
        if (!database_.ensure_connected()) return std::nullopt;
        const Outcome outcome = database_.run(nullptr, sql.c_str(), parameters, -1);
        if (outcome.kind == Outcome::Kind::row) {
            note_success();
            return outcome.row.at(0).value_or("");
        }
        note_failure(outcome.sqlstate.empty() ? "connection" : outcome.sqlstate);
        courier_.home_.forget(); // the extension may have gone, or moved
        return std::nullopt;
    }

    // What goes wrong again and again is told once for each cause, and how often it went wrong when it does no longer.
    void note_failure(const std::string &cause) {
        ++failures_;
        if (std::exchange(failing_, cause) == cause) return;
        log(Level::warning, "statement_failed", {{"worker", name_}, {"sqlstate", cause}, {"failures", failures_}});
    }
    void note_success() {
        if (failures_ > 1) log(Level::info, "statements_work_again", {{"worker", name_}, {"failures", failures_}});
        failures_ = 0;
        failing_.clear();
    }

    std::optional<Json> claim(const char *columns, const char *function, int most) {
        const std::optional<std::string> schema = home();
        if (!schema) {
            ++courier_.counts_.claims_failed;
            return std::nullopt;
        }
        const std::string sql = "SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(" +
                                std::string(columns) + ")), '[]') FROM " + *schema + '.' + function +
                                "($1, $2::integer, pg_catalog.make_interval(secs => $3::integer)) AS c";
        const std::string count = std::to_string(most);
        const std::string lease = std::to_string(courier_.config_.lease_s);
        claimed_at_ = Clock::now();
        const std::optional<std::string> rows = ask(sql, {name_.c_str(), count.c_str(), lease.c_str()});
        if (rows) return Json::parse(*rows);
        ++courier_.counts_.claims_failed;
        return std::nullopt;
    }

    // Until it is told, or the attempt is over anyway.
    void report(const std::string &call, const std::vector<const char *> &parameters) {
        const auto deadline = claimed_at_ + std::chrono::seconds(courier_.config_.lease_s);
        for (std::chrono::milliseconds pause = 100ms;; pause = std::min(2 * pause, longest_pause)) {
            const std::optional<std::string> schema = home();
            if (schema && ask("SELECT " + *schema + '.' + call, parameters)) return;
            const auto next = std::min(Clock::now() + pause, deadline);
            while (Clock::now() < next && !courier_.is_abandoned_) std::this_thread::sleep_for(50ms);
            if (Clock::now() >= deadline || courier_.is_abandoned_) break;
        }
        ++courier_.counts_.reports_lost;
        log(Level::error, "report_lost", {{"worker", name_}});
    }

    /// Whether so much of the lease is left that an attempt can end within it.
    bool has_time(std::chrono::milliseconds longest) const {
        return Clock::now() + longest < claimed_at_ + std::chrono::seconds(courier_.config_.lease_s);
    }
    bool may_begin() const { return !courier_.is_finishing_; }

    class Timer {
    public:
        Timer(Courier &courier, const char *kind) : courier_(courier), kind_(kind) { ++courier_.counts_.in_flight; }
        ~Timer() { --courier_.counts_.in_flight; }
        Timer(const Timer &) = delete;
        Timer &operator=(const Timer &) = delete;
        void done(const std::string &outcome) {
            courier_.counts_.count(kind_, outcome, std::chrono::duration<double>(Clock::now() - begin_).count());
        }

    private:
        Courier &courier_;
        const char *kind_;
        Clock::time_point begin_ = Clock::now();
    };

    static constexpr std::chrono::milliseconds longest_pause{5000};

    Courier &courier_;
    const char *kind_;
    std::string name_;
    Database database_;
    Clock::time_point claimed_at_;
    std::string failing_; // why statements fail just now: an SQLSTATE, or "connection"
    std::uint64_t failures_ = 0;
};

namespace {

std::string text_of(const Json &row, const char *key) {
    const auto found = row.find(key);
    return found == row.end() || !found->is_string() ? "" : found->get<std::string>();
}

using Headers = std::vector<std::pair<std::string, std::string>>;

Headers headers_of(const Json &row) {
    Headers headers;
    const auto found = row.find("headers");
    if (found == row.end() || !found->is_object()) return headers;
    for (const auto &[name, value] : found->items())
        headers.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
    return headers;
}

// Of the notices on the channel of events: those for consumers that the extension has.
bool is_ours(std::string_view channel, std::string_view payload) {
    return channel == "usher_courier" || payload.starts_with("usher_courier");
}

// SQL's NULL for what is empty
const char *or_null(const std::string &text) { return text.empty() ? nullptr : text.c_str(); }

} // namespace

class Courier::MailWorker final : public Worker {
public:
    MailWorker(Courier &courier, int number)
        : Worker(courier, "message", number, courier.config_), sink_(make_mail_sink(courier.config_)) {}

private:
    std::size_t work_once() override {
        const std::optional<Json> rows =
            claim("'message', c.message, 'attempt', c.attempt, 'message_id', c.message_id, 'sender', c.sender, "
                  "'reply_to', c.reply_to, 'recipient', c.recipient, 'subject', c.subject, 'body_text', c.body_text, "
                  "'body_html', c.body_html, 'headers', c.headers",
                  "claim_messages", courier_.config_.mail_batch);
        if (!rows) return 0;
        for (const Json &row : *rows) handle(row);
        return rows->size();
    }

    void handle(const Json &row) {
        const std::string id = row.at("message").get<std::string>();
        const std::string attempt = row.at("attempt").dump();
        Delivery delivery{"aborted", "", ""};
        Timer timer(courier_, kind_);
        if (may_begin() && has_time(std::chrono::milliseconds(courier_.config_.smtp_timeout_ms)))
            delivery = send(id, row);
        timer.done(delivery.outcome);
        if (std::string_view(delivery.outcome) != "sent")
            log(Level::info, "message", {{"message", id}, {"outcome", delivery.outcome}, {"code", delivery.code}});
        report("report_message($1::uuid, $2::integer, $3, $4, $5)",
               {id.c_str(), attempt.c_str(), delivery.outcome, or_null(delivery.code), or_null(delivery.detail)});
    }

    Delivery send(const std::string &id, const Json &row) {
        Mail mail;
        mail.message_id = text_of(row, "message_id");
        mail.sender = text_of(row, "sender");
        mail.reply_to = text_of(row, "reply_to");
        mail.recipient = text_of(row, "recipient");
        mail.subject = text_of(row, "subject");
        mail.body_text = text_of(row, "body_text");
        mail.body_html = text_of(row, "body_html");
        mail.headers = headers_of(row);
        try {
            // What is wrong with the recipient is theirs; all else is wrong with the message.
            parse_mailbox(mail.recipient, "recipient");
        } catch (const MalformedMail &error) {
            return {"rejected", "malformed", error.what()};
        }
        try {
            return sink_->send(id, mail, courier_.is_abandoned_);
        } catch (const MalformedMail &error) {
            return {"deferred", "malformed", error.what()};
        }
    }

    std::unique_ptr<MailSink> sink_;
};

class Courier::RequestWorker final : public Worker {
public:
    RequestWorker(Courier &courier, int number)
        : Worker(courier, "request", number, courier.config_), sender_(courier.config_) {}

private:
    std::size_t work_once() override {
        // One at a time: a receiver that is slow holds up nobody but itself.
        const std::optional<Json> rows =
            claim("'request', c.request, 'attempt', c.attempt, 'method', c.method, 'url', c.url, 'headers', c.headers, "
                  "'body', pg_catalog.encode(c.body, 'hex'), 'timeout_ms', (extract(epoch FROM c.timeout) * "
                  "1000)::integer, 'max_bytes', c.max_bytes, 'allowed', c.allowed_networks::text[]",
                  "claim_requests", 1);
        if (!rows) return 0;
        for (const Json &row : *rows) handle(row);
        return rows->size();
    }

    void handle(const Json &row) {
        const std::string id = row.at("request").get<std::string>();
        const std::string attempt = row.at("attempt").dump();
        OutgoingRequest request;
        request.method = text_of(row, "method");
        request.url = text_of(row, "url");
        request.headers = headers_of(row);
        request.body = hex_decode(text_of(row, "body")).value_or("");
        request.timeout_ms = std::clamp(row.value("timeout_ms", 10000), 1, 600000);
        request.max_bytes = static_cast<std::size_t>(std::max(row.value("max_bytes", 65536), 0));
        if (const auto allowed = row.find("allowed"); allowed != row.end() && allowed->is_array())
            for (const Json &each : *allowed)
                if (const auto network = IpNetwork::parse(each.get<std::string>())) request.allowed.push_back(*network);
        RequestOutcome outcome{0, "not_tried", {}, "", std::nullopt};
        Timer timer(courier_, kind_);
        if (may_begin() && has_time(std::chrono::milliseconds(request.timeout_ms)))
            outcome = sender_.send(request, courier_.is_abandoned_);
        const std::string word = outcome.status > 0 ? std::to_string(outcome.status / 100) + "xx" : outcome.error;
        timer.done(word);
        if (outcome.status < 200 || outcome.status > 299)
            log(Level::info, "request", {{"request", id}, {"outcome", word}, {"status", outcome.status}});
        const std::string status = std::to_string(outcome.status);
        const std::string body = "\\x" + hex_encode(outcome.body);
        const std::string retry = std::to_string(outcome.retry_after_s.value_or(0));
        Json headers = Json::object();
        for (const auto &[name, value] : outcome.headers) { // fields of one name are one list
            std::string before = headers.contains(name) ? headers[name].get<std::string>() + ", " : "";
            headers[name] = before + value;
        }
        const std::string fields = headers.dump();
        const bool is_answered = outcome.status > 0;
        report("report_request($1::uuid, $2::integer, $3::integer, $4::jsonb, $5::bytea, $6, "
               "pg_catalog.make_interval(secs => $7::integer))",
               {id.c_str(), attempt.c_str(), is_answered ? status.c_str() : nullptr,
                is_answered ? fields.c_str() : nullptr, is_answered ? body.c_str() : nullptr, or_null(outcome.error),
                outcome.retry_after_s ? retry.c_str() : nullptr});
    }

    RequestSender sender_;
};

/// Has the database call the handlers of requests that were answered. They are functions of others and may take long,
/// so that they have a connection of their own; the database limits their time.
class Courier::HandlerWorker final : public Worker {
public:
    HandlerWorker(Courier &courier, int number) : Worker(courier, "handler", number, courier.patient_) {}

private:
    std::size_t work_once() override {
        const std::optional<std::string> schema = home();
        return schema && ask("SELECT " + *schema + ".run_request_handler()", {}) == "t" ? 1 : 0;
    }
};

template <class W> void Courier::start_worker(int number) {
    ++working_;
    threads_.emplace_back([this, number] {
        try {
            W(*this, number).run();
        } catch (const std::exception &error) {
            log(Level::error, "worker_failed", {{"message", error.what()}});
            std::_Exit(1); // whoever started us starts us again; what was claimed is another's when its lease is over
        }
        --working_;
    });
}

void Courier::start() {
    for (int i = 1; i <= config_.mail_threads; ++i) start_worker<MailWorker>(i);
    for (int i = 1; i <= config_.request_threads; ++i) start_worker<RequestWorker>(i);
    if (config_.request_threads > 0) start_worker<HandlerWorker>(1);
    threads_.emplace_back([this] { listen(); });
}

// Two channels: usher_courier, and that on which core tells consumers of events by name. A pooler's sessions hear
// nothing for long; there is only the heartbeat then.
void Courier::listen() {
    Database database(config_, config_.database, back_off_, metrics_);
    auto last_beat = Clock::now() - 1h;
    while (!is_finishing_) {
        const bool hears = database.ensure_connected() &&
                           (config_.pooler || (database.listen("usher_courier") && database.listen("usher_events")));
        if (!hears) {
            std::this_thread::sleep_for(200ms);
            continue;
        }
        bell_.ring(); // for what became ready while nobody listened
        Database::Heard heard = Database::Heard::silence;
        while (!is_finishing_ && heard != Database::Heard::lost) {
            if (Clock::now() - last_beat > 30s) {
                last_beat = Clock::now();
                if (!beat(database)) break;
            }
            heard = database.wait_for_notice(200ms, is_ours);
            if (heard != Database::Heard::notice) continue;
            ++counts_.notices;
            bell_.ring();
        }
    }
}

// Says that this courier is there, for usher.health(). False: begin anew, since a connection that takes the place of
// another one listens to nothing yet.
bool Courier::beat(Database &database) {
    const std::optional<std::string> schema = home_.schema(database);
    if (!schema) return false;
    const std::string sql = "SELECT " + *schema + ".courier_heartbeat($1, $2)";
    return database.run(nullptr, sql.c_str(), {config_.worker.c_str(), USHER_VERSION}, -1).kind == Outcome::Kind::row;
}

void Courier::finish() {
    is_finishing_ = true;
    bell_.ring();
}

void Courier::join() {
    for (std::thread &thread : threads_) thread.join();
}

} // namespace usher::courier
