// Every option of the gateway: one table in config.cpp gives flags, environment, file keys and --help.
#pragma once
#include "client_address.hpp"
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace usher::gateway {

constexpr int day_ms = 24 * 60 * 60 * 1000;

struct Config {
    const char *program = "usher-gateway"; // what its connections to the database are called
    std::string listen = "127.0.0.1";
    int port = 8080;
    std::string admin_listen = "127.0.0.1";
    int admin_port = 8081;
    int port_search = 0;
    std::string ready_file;
    std::string pages;

    std::string tls_certificate;
    std::string tls_key;
    std::string tls_min_version = "1.2";

    std::string database;
    std::string standby_database;
    int standby_pool_size = 4;
    int pool_size = 8;
    int pool_overflow = 0;
    int costly_connections = 0;
    int pool_wait_ms = 2000;
    int statement_timeout_ms = 10000;
    int connect_timeout_s = 5;
    int connection_max_age_s = 3600;
    int database_metrics_s = 10;
    bool pooler = false;
    bool cancel_on_hangup = true;

    int max_connections = 1024;
    int max_requests_per_connection = 1000;
    int max_head_bytes = 16384;
    int max_target_bytes = 8192;
    int max_headers = 64;
    int max_body_bytes = 1 << 20;
    int max_json_depth = 64;

    int head_timeout_ms = 10000;
    int body_timeout_ms = 30000;
    int write_timeout_ms = 10000;
    int idle_timeout_ms = 65000;
    int drain_timeout_ms = 15000;
    int drain_delay_ms = 0;

    std::vector<std::string> trusted_proxies;
    std::string forwarded_header = "x-forwarded-for";
    std::vector<std::string> cors_origins;
    bool cors_credentials = false;
    int cors_max_age_s = 600;
    int hsts_max_age_s = 0;
    std::string server_timing = "request";
    bool log_requests = true;

    std::vector<Network> trusted_networks; // trusted_proxies, parsed

    /// How many of the connections costly routes may have at a time.
    int most_costly() const {
        return costly_connections > 0 ? std::min(costly_connections, pool_size) : std::max(1, pool_size / 8);
    }
};

struct ConfigError : std::runtime_error {
    using runtime_error::runtime_error;
};

/// Collects what is wrong, so that all of it can be said at once.
class Mistakes {
public:
    void add(std::string message) { messages_.push_back(std::move(message)); }
    /// Runs a step; what it finds wrong does not stop the next one.
    template <class F> void attempt(F &&step) {
        try {
            step();
        } catch (const ConfigError &error) {
            add(error.what());
        }
    }
    const std::vector<std::string> &messages() const { return messages_; }

private:
    std::vector<std::string> messages_;
};

template <class C> struct BasicInvocation {
    C config;
    Mistakes mistakes; // the configuration must not be used when there are any
    enum class Action { run, help, version, check } action = Action::run;
};
using Invocation = BasicInvocation<Config>;

/// Defaults, then the file (--config or USHER_GATEWAY_CONFIG), then the environment, then flags.
Invocation read_config(int argc, const char *const *argv, const char *const *environment);

std::string help_text();

} // namespace usher::gateway
