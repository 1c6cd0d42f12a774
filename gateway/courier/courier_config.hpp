// Every option of the courier. What it shares with the gateway (database, admin listener, timeouts) is the gateway's.
#pragma once
#include "config.hpp"

namespace usher::courier {

struct CourierConfig : gateway::Config {
    CourierConfig() {
        program = "usher-courier";
        admin_port = 8082;
        drain_timeout_ms = 30000;
    }
    std::string mail_sink;
    std::string smtp;
    std::string smtp_tls = "required";
    std::string smtp_user;
    std::string smtp_password_file;
    std::string tls_ca;
    int smtp_timeout_ms = 60000;
    int mail_threads = 2;
    int mail_batch = 10;
    int request_threads = 4;
    int request_connect_timeout_ms = 5000;
    int lease_s = 120;
    int poll_ms = 5000;
    std::string worker;

    std::string smtp_password; // from the file
};

using CourierInvocation = gateway::BasicInvocation<CourierConfig>;

/// Defaults, then the file (--config or USHER_COURIER_CONFIG), then the environment, then flags.
CourierInvocation read_courier_config(int argc, const char *const *argv, const char *const *environment);

std::string courier_help();

} // namespace usher::courier
