#include "database_url.hpp"
#include "options.hpp"

namespace usher::gateway {

namespace {

const std::vector<Option<Config>> &options() {
    static const std::vector<Option<Config>> table = {
        {"listen", &Config::listen, "address to listen on"},
        {"port", &Config::port, "port; 0: any free one", 0, 65535},
        {"admin_listen", &Config::admin_listen, "address of the admin listener (livez, readyz, metrics)"},
        {"admin_port", &Config::admin_port, "port of the admin listener; 0: any free one", 0, 65535},
        {"port_search", &Config::port_search, "how many further ports to try when one is taken", 0, 1000},
        {"ready_file", &Config::ready_file, "written with both addresses once both listeners accept connections"},
        {"pages", &Config::pages,
         "folder of the pages / and /docs; empty: pages beside the program, or those installed with it; none: no "
         "pages"},
        {"tls_certificate", &Config::tls_certificate,
         "PEM file of the certificate and its chain: speaks TLS, and only TLS"},
        {"tls_key", &Config::tls_key, "PEM file of its private key; SIGHUP reads both again"},
        {"tls_min_version", &Config::tls_min_version, "1.2 or 1.3"},
        {"database", &Config::database,
         "libpq connection string or URL; empty: DATABASE_URL, else PGHOST and the like"},
        {"standby_database", &Config::standby_database,
         "libpq connection string of standbys, for routes marked read-only; empty: none"},
        {"standby_pool_size", &Config::standby_pool_size, "connections to the standbys", 1, 1000},
        {"pool_size", &Config::pool_size, "connections to the database", 1, 1000},
        {"pool_overflow", &Config::pool_overflow, "more of them while all are busy; they are closed afterwards", 0,
         1000},
        {"costly_connections", &Config::costly_connections,
         "how many of them costly routes (logins) may have at a time; 0: an eighth, at least one", 0, 1000},
        {"pool_wait_ms", &Config::pool_wait_ms, "longest wait for a connection, then 503", 1, day_ms},
        {"statement_timeout_ms", &Config::statement_timeout_ms, "longest run of a request's statement, then 504", 1,
         day_ms},
        {"connect_timeout_s", &Config::connect_timeout_s, "longest attempt to connect to one database host", 2, 600},
        {"connection_max_age_s", &Config::connection_max_age_s,
         "an older connection to the database is replaced before its next use; 0: never", 0, 7 * 24 * 60 * 60},
        {"database_metrics_s", &Config::database_metrics_s,
         "/metrics has those of usher.metrics() too, at most this old; 0: without them", 0, 86400},
        {"pooler", &Config::pooler, "a transaction pooler stands before the database: unnamed statements only"},
        {"cancel_on_hangup", &Config::cancel_on_hangup, "cancel the statement when the client hangs up"},
        {"max_connections", &Config::max_connections, "client connections at a time", 1, 100000},
        {"max_requests_per_connection", &Config::max_requests_per_connection, "then the connection is closed", 1,
         1000000000},
        {"max_head_bytes", &Config::max_head_bytes, "request line and header fields together", 256, 1 << 20},
        {"max_target_bytes", &Config::max_target_bytes, "request target (path and query)", 16, 1 << 20},
        {"max_headers", &Config::max_headers, "header fields of a request", 1, 1000},
        {"max_body_bytes", &Config::max_body_bytes, "request body", 0, 1 << 30},
        {"max_json_depth", &Config::max_json_depth, "nesting of a JSON body", 1, 1000},
        {"head_timeout_ms", &Config::head_timeout_ms, "from a request's first byte to the end of its head", 1, day_ms},
        {"body_timeout_ms", &Config::body_timeout_ms, "for a request's whole body", 1, day_ms},
        {"write_timeout_ms", &Config::write_timeout_ms, "for writing an answer", 1, day_ms},
        {"idle_timeout_ms", &Config::idle_timeout_ms, "between two requests of a connection", 1, day_ms},
        {"drain_timeout_ms", &Config::drain_timeout_ms, "for requests in flight after SIGTERM", 1, day_ms},
        {"drain_delay_ms", &Config::drain_delay_ms,
         "after SIGTERM, still answer everything for this long, so that a load balancer notices readyz", 0, day_ms},
        {"trusted_proxies", &Config::trusted_proxies, "comma-separated addresses or networks whose word counts"},
        {"forwarded_header", &Config::forwarded_header, "x-forwarded-for or forwarded: what those proxies send"},
        {"cors_origins", &Config::cors_origins, "comma-separated origins that browsers may call from"},
        {"cors_credentials", &Config::cors_credentials, "let those origins send cookies"},
        {"cors_max_age_s", &Config::cors_max_age_s, "how long a browser may keep a preflight answer", 0, 86400},
        {"hsts_max_age_s", &Config::hsts_max_age_s, "Strict-Transport-Security, when a proxy gives TLS; 0: none", 0,
         2000000000},
        {"server_timing", &Config::server_timing,
         "Server-Timing: never; request: for requests with the header Usher-Timing; always"},
        {"log_requests", &Config::log_requests, "one log line per request"},
    };
    return table;
}

void check_origin(const std::string &origin) {
    const bool is_http = origin.starts_with("http://") || origin.starts_with("https://");
    const std::size_t host = origin.find("://") + 3;
    if (!is_http || origin.size() == host || origin.find_first_of("/ *?#", host) != std::string::npos ||
        lower_case(origin) != origin)
        throw ConfigError("cors_origins: \"" + origin + "\" is not an origin like https://app.example.com");
}

// What can only be judged when all options are known.
void check(Config &config, Mistakes &mistakes) {
    for (const std::string &text : config.trusted_proxies) {
        const std::optional<Network> network = Network::parse(text);
        if (network)
            config.trusted_networks.push_back(*network);
        else
            mistakes.add("trusted_proxies: \"" + text + "\" is not an address or network");
    }
    config.forwarded_header = lower_case(config.forwarded_header);
    mistakes.attempt([&] {
        check_choice("forwarded_header", config.forwarded_header, {"x-forwarded-for", "forwarded"});
    });
    mistakes.attempt([&] { check_choice("tls_min_version", config.tls_min_version, {"1.2", "1.3"}); });
    mistakes.attempt([&] { check_choice("server_timing", config.server_timing, {"never", "request", "always"}); });
    for (const std::string &origin : config.cors_origins) mistakes.attempt([&] { check_origin(origin); });
    if (config.tls_certificate.empty() != config.tls_key.empty())
        mistakes.add("tls_certificate and tls_key go together");
    mistakes.attempt([&] { config.database = connection_string("database", config.database); });
    mistakes.attempt([&] { config.standby_database = connection_string("standby_database", config.standby_database); });
}

const Program<Config> &program() {
    static const Program<Config> ours = {
        "usher-gateway",
        "USHER_GATEWAY_",
        "carries HTTP requests to usher.http_request in PostgreSQL, and its answers back.",
        "--pool-size is USHER_GATEWAY_POOL_SIZE",
        options(),
        check,
    };
    return ours;
}

} // namespace

Invocation read_config(int argc, const char *const *argv, const char *const *environment) {
    return read_options(program(), argc, argv, environment);
}

std::string help_text() { return describe_options(program()); }

} // namespace usher::gateway
