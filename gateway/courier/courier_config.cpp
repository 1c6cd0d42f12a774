#include "courier/courier_config.hpp"
#include "options.hpp"
#include <sys/stat.h>
#include <unistd.h>

namespace usher::courier {

using gateway::ConfigError;
using gateway::day_ms;
using gateway::Mistakes;

namespace {

constexpr int longest_request_s = 60; // the largest time_limit of enqueue_http_request()

const std::vector<gateway::Option<CourierConfig>> &options() {
    using C = CourierConfig;
    static const std::vector<gateway::Option<C>> table = {
        {"mail_sink", &C::mail_sink, "folder that messages are written to as *.eml files, instead of being sent"},
        {"smtp", &C::smtp, "server that takes the messages: smtp://host:587 or smtps://host:465"},
        {"smtp_tls", &C::smtp_tls, "of smtp://: required (STARTTLS, or nothing is sent) or none"},
        {"smtp_user", &C::smtp_user, "name to log in to that server with; empty: no login"},
        {"smtp_password_file", &C::smtp_password_file, "file whose first line is the password"},
        {"tls_ca", &C::tls_ca, "PEM file of the authorities to trust; empty: those of the system"},
        {"smtp_timeout_ms", &C::smtp_timeout_ms, "for one message, from connecting to the server's last word", 100,
         600000},
        {"mail_threads", &C::mail_threads, "messages sent at a time; 0: this courier sends none", 0, 100},
        {"mail_batch", &C::mail_batch, "messages claimed at a time", 1, 1000},
        {"request_threads", &C::request_threads, "HTTP requests sent at a time; 0: this courier sends none", 0, 100},
        {"request_connect_timeout_ms", &C::request_connect_timeout_ms, "for resolving a name and connecting", 100,
         600000},
        {"lease_s", &C::lease_s, "how long what was claimed is this courier's; it is another's after that", 1, 3600},
        {"poll_ms", &C::poll_ms, "longest pause between two looks into the queues", 10, day_ms},
        {"worker", &C::worker, "what this courier is called in the database; empty: host and process"},
        {"database", &C::database, "libpq connection string; missing parts come from PGHOST and the like"},
        {"statement_timeout_ms", &C::statement_timeout_ms, "longest run of a statement", 1, day_ms},
        {"connect_timeout_s", &C::connect_timeout_s, "longest attempt to connect to one database host", 2, 600},
        {"pooler", &C::pooler, "a transaction pooler stands before the database: no LISTEN, so poll_ms counts"},
        {"admin_listen", &C::admin_listen, "address of the admin listener (livez, readyz, metrics)"},
        {"admin_port", &C::admin_port, "port of the admin listener; 0: any free one", 0, 65535},
        {"port_search", &C::port_search, "how many further ports to try when one is taken", 0, 1000},
        {"ready_file", &C::ready_file, "written with the admin address once the courier works"},
        {"drain_timeout_ms", &C::drain_timeout_ms, "after SIGTERM, for what is being sent", 1, day_ms},
    };
    return table;
}

void read_password(CourierConfig &config) {
    std::ifstream file(config.smtp_password_file);
    if (!file) throw ConfigError("could not read smtp_password_file " + config.smtp_password_file);
    std::getline(file, config.smtp_password);
    if (config.smtp_password.ends_with('\r')) config.smtp_password.pop_back();
    if (config.smtp_password.empty())
        throw ConfigError("no password in the first line of " + config.smtp_password_file);
}

void check_folder(const CourierConfig &config) {
    struct stat status {};
    if (stat(config.mail_sink.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
        access(config.mail_sink.c_str(), W_OK | X_OK) != 0)
        throw ConfigError("mail_sink must be a folder that can be written to: " + config.mail_sink);
}

void check_server(const CourierConfig &config) {
    const bool is_good = config.smtp.starts_with("smtp://") || config.smtp.starts_with("smtps://");
    if (!is_good || config.smtp.find_first_of("@ ?#") != std::string::npos)
        throw ConfigError("smtp must be smtp://host:port or smtps://host:port, without a user");
}

void check(CourierConfig &config, Mistakes &mistakes) {
    mistakes.attempt([&] { gateway::check_choice("smtp_tls", config.smtp_tls, {"required", "none"}); });
    mistakes.attempt([&] { config.database = gateway::connection_string("database", config.database); });
    if (!config.smtp.empty()) mistakes.attempt([&] { check_server(config); });
    if (!config.mail_sink.empty()) mistakes.attempt([&] { check_folder(config); });
    if (!config.smtp_password_file.empty()) mistakes.attempt([&] { read_password(config); });
    if (config.mail_threads > 0 && config.smtp.empty() == config.mail_sink.empty())
        mistakes.add("one of smtp and mail_sink must be given, or mail_threads be 0");
    if (config.smtp_user.empty() != config.smtp_password_file.empty())
        mistakes.add("smtp_user and smtp_password_file go together");
    if (!config.smtp_user.empty() && config.smtp_tls == "none" && config.smtp.starts_with("smtp://"))
        mistakes.add("smtp_user needs TLS: a password is not sent in the clear");
    if (config.smtp_timeout_ms / 1000 >= config.lease_s) mistakes.add("lease_s must be longer than smtp_timeout_ms");
    // What cannot end within the lease is not begun: such a request would never go.
    if (config.request_threads > 0 && config.lease_s <= longest_request_s)
        mistakes.add("lease_s must be longer than the " + std::to_string(longest_request_s) +
                     " seconds that a request may take, or request_threads be 0");
    if (config.worker.empty()) {
        char host[256] = "";
        gethostname(host, sizeof host - 1);
        config.worker = std::string(host) + ':' + std::to_string(getpid());
    }
}

const gateway::Program<CourierConfig> &program() {
    static const gateway::Program<CourierConfig> ours = {
        "usher-courier",
        "USHER_COURIER_",
        "sends what PostgreSQL has ready: messages by SMTP, and HTTP requests.",
        "--mail-threads is USHER_COURIER_MAIL_THREADS",
        options(),
        check,
    };
    return ours;
}

} // namespace

CourierInvocation read_courier_config(int argc, const char *const *argv, const char *const *environment) {
    return gateway::read_options(program(), argc, argv, environment);
}

std::string courier_help() { return gateway::describe_options(program()); }

} // namespace usher::courier
