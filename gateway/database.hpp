// One connection to PostgreSQL: connecting with back-off, running the one statement with a deadline, cancelling it.
#pragma once
#include "config.hpp"
#include "metrics.hpp"
#include <array>
#include <chrono>
#include <libpq-fe.h>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace usher::gateway {

using Clock = std::chrono::steady_clock;

/// Shared by all connections: after a failed attempt nobody tries again until the back-off is over, so that requests
/// fail at once while the database is away, instead of each waiting for its own attempt.
class BackOff {
public:
    bool may_try();
    void succeeded();
    void failed();

private:
    std::mutex mutex_;
    Clock::time_point not_before_{};
    std::chrono::milliseconds delay_{0};
};

struct Outcome {
    enum class Kind {
        row,             // committed, and here is the row
        error,           // the server said no: sqlstate; the transaction is rolled back
        lost,            // the connection broke, or no standby has it: whether it stays committed is unknown
        not_sent,        // the connection was broken before the statement was sent
        client_gone,     // cancelled because the client hung up
        deadline_passed, // cancelled because it took too long and the server did not stop it
    };
    Kind kind = Kind::error;
    std::string sqlstate;
    std::vector<std::optional<std::string>> row;
};

class Database {
public:
    /// connection: a libpq connection string, config.database or config.standby_database.
    Database(const Config &config, const std::string &connection, BackOff &back_off, Metrics &metrics);

    /// True when there is a usable connection; connects if need be.
    bool ensure_connected();
    void disconnect();

    /// Runs a statement with text parameters in a transaction of its own, and waits until it has committed.
    /// name: prepared under this name once per connection, unless a pooler stands before the database; nullptr: not.
    /// client_socket: watched for hang-up; -1: none.
    Outcome run(const char *name, const char *sql, const std::vector<const char *> &parameters, int client_socket);

    /// Hears of a channel from now on, as long as this connection lasts.
    bool listen(const char *channel);
    enum class Heard { notice, silence, lost };
    /// Waits for a notice that is of interest, by its channel and its payload.
    Heard wait_for_notice(std::chrono::milliseconds longest,
                          bool (*is_of_interest)(std::string_view channel, std::string_view payload));

    /// Cancels what runs here, from another thread.
    void cancel_from_outside();
    bool is_standby() const;
    bool is_connected() const { return connection_ != nullptr; }

private:
    struct Close {
        void operator()(PGconn *connection) const { PQfinish(connection); }
    };
    bool prepare(const char *name, const char *sql);
    bool is_still_open();
    bool is_too_old() const { return Clock::now() >= replace_at_; }
    bool connect();
    void cancel();
    enum class Wait { ready, client_gone, deadline_passed, lost };
    Wait collect(Outcome &outcome, Clock::time_point deadline, int client_socket);
    Wait wait_for_result(Clock::time_point deadline, int client_socket);

    const Config &config_;
    const std::string &connection_string_;
    BackOff &back_off_;
    Metrics &metrics_;
    std::unique_ptr<PGconn, Close> connection_;
    std::mutex cancel_mutex_; // guards connection_ against cancel_from_outside while it is replaced
    std::string prepared_;
    bool is_only_here_ = false; // the last statement committed, but a synchronous standby may not have it
    Clock::time_point replace_at_{};
};

} // namespace usher::gateway
