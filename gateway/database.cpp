#include "database.hpp"
#include "log.hpp"
#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <random>

namespace usher::gateway {

using namespace std::chrono_literals;

bool BackOff::may_try() {
    const std::lock_guard lock(mutex_);
    return Clock::now() >= not_before_;
}

void BackOff::succeeded() {
    const std::lock_guard lock(mutex_);
    delay_ = 0ms;
    not_before_ = {};
}

void BackOff::failed() {
    const std::lock_guard lock(mutex_);
    if (Clock::now() < not_before_) return; // another thread's attempt, begun earlier
    delay_ = std::clamp(delay_ * 2, 50ms, 2000ms);
    thread_local std::minstd_rand random{std::random_device{}()};
    const auto jitter = std::chrono::milliseconds(std::uniform_int_distribution<int>(
        0, static_cast<int>(delay_.count()) / 2)(random)); // several gateways must not come back in step
    not_before_ = Clock::now() + delay_ + jitter;
}

Database::Database(const Config &config, const std::string &connection, BackOff &back_off, Metrics &metrics)
    : config_(config), connection_string_(connection), back_off_(back_off), metrics_(metrics) {}

namespace {

// The connection string's own settings, then ours where it says nothing.
struct Parameters {
    std::vector<std::string> storage;
    std::vector<std::pair<std::string, std::string>> pairs;
    void add(const char *keyword, std::string value) { pairs.emplace_back(keyword, std::move(value)); }
    std::string *find(const char *keyword) {
        for (auto &[name, value] : pairs)
            if (name == keyword) return &value;
        return nullptr;
    }
};

Parameters connection_parameters(const Config &config, const std::string &connection) {
    Parameters parameters;
    PQconninfoOption *parsed = PQconninfoParse(connection.c_str(), nullptr); // checked with the configuration
    for (PQconninfoOption *option = parsed; option != nullptr && option->keyword != nullptr; ++option)
        if (option->val != nullptr) parameters.add(option->keyword, option->val);
    PQconninfoFree(parsed);
    if (parameters.find("fallback_application_name") == nullptr)
        parameters.add("fallback_application_name", config.program);
    if (parameters.find("connect_timeout") == nullptr)
        parameters.add("connect_timeout", std::to_string(config.connect_timeout_s));
    if (parameters.find("client_encoding") == nullptr) parameters.add("client_encoding", "UTF8");
    // The time zone comes with PGTZ (see main), which poolers accept. They refuse "options", and a SET would leak to
    // other clients: behind a pooler the deadline in run() does the work of statement_timeout.
    if (!config.pooler) {
        const std::string ours = "-c statement_timeout=" + std::to_string(config.statement_timeout_ms);
        if (std::string *options = parameters.find("options"))
            *options = ours + ' ' + *options;
        else
            parameters.add("options", ours);
    }
    return parameters;
}

} // namespace

// What is too old is replaced by a new connection; while there is none to be had, it goes on.
bool Database::ensure_connected() {
    const bool is_usable = connection_ != nullptr && is_still_open();
    if (is_usable && !is_too_old()) return true;
    if (!back_off_.may_try()) return is_usable;
    if (!connect()) return is_usable;
    if (is_usable) ++metrics_.database_connections_replaced;
    return true;
}

bool Database::connect() {
    const Parameters parameters = connection_parameters(config_, connection_string_);
    std::vector<const char *> keywords;
    std::vector<const char *> values;
    for (const auto &[keyword, value] : parameters.pairs) {
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    std::unique_ptr<PGconn, Close> fresh(PQconnectdbParams(keywords.data(), values.data(), 0));
    if (PQstatus(fresh.get()) != CONNECTION_OK || PQsetnonblocking(fresh.get(), 1) != 0) {
        back_off_.failed();
        ++metrics_.database_connect_failures;
        log(Level::warning, "database_connect_failed", {{"message", PQerrorMessage(fresh.get())}});
        return false;
    }
    // The server's log has them, but for one: a COMMIT that waits for a synchronous standby cannot be undone, so when
    // it is cancelled it succeeds, and a warning says that the standby may not have it. No code or setting tells this
    // warning from others; its place does.
    PQsetNoticeReceiver(
        fresh.get(),
        [](void *is_only_here, const PGresult *notice) {
            const char *function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
            if (function != nullptr && std::string_view(function) == "SyncRepWaitForLSN")
                *static_cast<bool *>(is_only_here) = true;
        },
        &is_only_here_);
    back_off_.succeeded();
    ++metrics_.database_connects;
    replace_at_ = Clock::time_point::max();
    if (const std::chrono::milliseconds age = config_.connection_max_age_s * 1000ms; age > 0ms) {
        // those that were made together are not all replaced together
        thread_local std::minstd_rand random{std::random_device{}()};
        const auto early = std::uniform_int_distribution<std::int64_t>(0, age.count() / 10)(random);
        replace_at_ = Clock::now() + age - std::chrono::milliseconds(early);
    }
    const std::lock_guard lock(cancel_mutex_);
    connection_ = std::move(fresh);
    prepared_.clear();
    return true;
}

// A server that was stopped while the connection lay idle has sent its goodbye: better to notice now than to lose a
// request over it.
bool Database::is_still_open() {
    if (PQstatus(connection_.get()) != CONNECTION_OK) return false;
    pollfd socket = {PQsocket(connection_.get()), POLLIN, 0};
    while (poll(&socket, 1, 0) > 0) {
        if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK) return false;
        if ((socket.revents & (POLLHUP | POLLERR)) != 0) return false;
    }
    return true;
}

void Database::disconnect() {
    const std::lock_guard lock(cancel_mutex_);
    connection_.reset();
}

void Database::cancel() {
    ++metrics_.statements_cancelled;
    char error[256];
    if (PGcancel *handle = PQgetCancel(connection_.get())) {
        PQcancel(handle, error, sizeof error);
        PQfreeCancel(handle);
    }
}

void Database::cancel_from_outside() {
    const std::lock_guard lock(cancel_mutex_);
    if (connection_ != nullptr) cancel();
}

bool Database::listen(const char *channel) {
    if (PQsendQuery(connection_.get(), (std::string("LISTEN ") + channel).c_str()) == 0) return false;
    Outcome outcome;
    if (collect(outcome, Clock::now() + std::chrono::milliseconds(config_.statement_timeout_ms), -1) == Wait::ready)
        return outcome.sqlstate.empty();
    disconnect();
    return false;
}

Database::Heard Database::wait_for_notice(std::chrono::milliseconds longest,
                                          bool (*is_of_interest)(std::string_view channel, std::string_view payload)) {
    PGconn *connection = connection_.get();
    const auto deadline = Clock::now() + longest;
    while (true) {
        bool is_heard = false;
        while (PGnotify *notice = PQnotifies(connection)) {
            is_heard = is_heard || is_of_interest(notice->relname, notice->extra);
            PQfreemem(notice);
        }
        if (is_heard) return Heard::notice;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) return Heard::silence;
        pollfd socket = {PQsocket(connection), POLLIN, 0};
        if (poll(&socket, 1, static_cast<int>(left)) > 0 &&
            (PQconsumeInput(connection) == 0 || PQstatus(connection) != CONNECTION_OK)) {
            disconnect();
            return Heard::lost;
        }
    }
}

bool Database::is_standby() const {
    const char *value = connection_ == nullptr ? nullptr : PQparameterStatus(connection_.get(), "in_hot_standby");
    return value != nullptr && std::string_view(value) == "on";
}

// Waits until a result can be fetched without blocking, and sends what is still to be sent.
Database::Wait Database::wait_for_result(Clock::time_point deadline, int client_socket) {
    PGconn *connection = connection_.get();
    while (true) {
        const int unsent = PQflush(connection);
        if (unsent < 0) return Wait::lost;
        if (unsent == 0 && PQisBusy(connection) == 0) return Wait::ready;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) return Wait::deadline_passed;
        pollfd sockets[2] = {{PQsocket(connection), static_cast<short>(POLLIN | (unsent > 0 ? POLLOUT : 0)), 0},
                             {client_socket, POLLRDHUP, 0}};
        const int ready = poll(sockets, client_socket >= 0 ? 2 : 1, static_cast<int>(left));
        if (ready < 0 && errno != EINTR) return Wait::lost;
        if (ready <= 0) continue;
        if ((sockets[0].revents & ~POLLOUT) != 0 && PQconsumeInput(connection) == 0) return Wait::lost;
        if (client_socket >= 0 && (sockets[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) return Wait::client_gone;
    }
}

// Takes all results. The answer counts only when the server is ready for the next statement: a deferred constraint
// fails after the row has come.
Database::Wait Database::collect(Outcome &outcome, Clock::time_point deadline, int client_socket) {
    bool has_row = false;
    bool has_error = false;
    while (true) {
        if (const Wait wait = wait_for_result(deadline, client_socket); wait != Wait::ready) return wait;
        const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(connection_.get()), &PQclear);
        if (result == nullptr) break;
        switch (PQresultStatus(result.get())) {
        case PGRES_TUPLES_OK:
            if (PQntuples(result.get()) != 1) break;
            has_row = true;
            for (int i = 0; i < PQnfields(result.get()); ++i) {
                if (PQgetisnull(result.get(), 0, i) != 0)
                    outcome.row.emplace_back();
                else
                    outcome.row.emplace_back(std::string(PQgetvalue(result.get(), 0, i),
                                                         static_cast<std::size_t>(PQgetlength(result.get(), 0, i))));
            }
            break;
        case PGRES_COMMAND_OK: break;
        default: {
            has_error = true;
            const char *sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
            if (outcome.sqlstate.empty() && sqlstate != nullptr) outcome.sqlstate = sqlstate;
        }
        }
    }
    if (PQstatus(connection_.get()) != CONNECTION_OK) return Wait::lost;
    outcome.kind = has_row && !has_error ? Outcome::Kind::row : Outcome::Kind::error;
    return Wait::ready;
}

bool Database::prepare(const char *name, const char *sql) {
    if (PQsendPrepare(connection_.get(), name, sql, 0, nullptr) == 0) return false;
    if (wait_for_result(Clock::now() + std::chrono::milliseconds(config_.statement_timeout_ms), -1) != Wait::ready)
        return false;
    bool is_good = true;
    while (PGresult *result = PQgetResult(connection_.get())) {
        is_good = is_good && PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
    }
    if (is_good) prepared_ = name;
    return is_good;
}

Outcome Database::run(const char *name, const char *sql, const std::vector<const char *> &parameters,
                      int client_socket) {
    PGconn *connection = connection_.get();
    const int count = static_cast<int>(parameters.size());
    // If preparing fails, the unnamed statement below fails as well and tells why.
    const bool is_named = name != nullptr && !config_.pooler && (prepared_ == name || prepare(name, sql));
    const int sent = is_named
                         ? PQsendQueryPrepared(connection, name, count, parameters.data(), nullptr, nullptr, 0)
                         : PQsendQueryParams(connection, sql, count, nullptr, parameters.data(), nullptr, nullptr, 0);
    if (sent == 0) {
        disconnect();
        return {Outcome::Kind::not_sent, "", {}};
    }
    // The server's own timeout comes first; the margin is for a server that no longer answers. Behind a pooler there
    // is no other timeout than this one.
    const auto allowed = std::chrono::milliseconds(config_.statement_timeout_ms) + (config_.pooler ? 0s : 1s);
    const auto deadline = Clock::now() + allowed;
    Outcome outcome;
    is_only_here_ = false;
    Wait wait = collect(outcome, deadline, config_.cancel_on_hangup ? client_socket : -1);
    if (wait == Wait::client_gone || wait == Wait::deadline_passed) {
        cancel();
        // Hear the server out, so that the connection can be used again, and the truth be told if it was just done.
        outcome = {};
        const Outcome::Kind kind =
            wait == Wait::client_gone ? Outcome::Kind::client_gone : Outcome::Kind::deadline_passed;
        wait = collect(outcome, Clock::now() + 1s, -1);
        if (wait != Wait::ready || kind == Outcome::Kind::client_gone) outcome.kind = kind;
        if (wait != Wait::ready) disconnect();
    } else if (wait == Wait::lost) {
        outcome.kind = Outcome::Kind::lost;
        disconnect();
    }
    // A failover may lose it yet, so it is no success.
    if (outcome.kind == Outcome::Kind::row && is_only_here_) outcome.kind = Outcome::Kind::lost;
    // 26000: a pooler or DISCARD ALL took the prepared statement away; nothing has run.
    if (outcome.kind == Outcome::Kind::error && is_named && outcome.sqlstate == "26000") prepared_.clear();
    return outcome;
}

} // namespace usher::gateway
