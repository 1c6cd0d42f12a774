// usher-courier: reads its configuration, works, and stops in good order.
#include "courier/courier_admin.hpp"
#include "log.hpp"
#include "server.hpp"
#include <clocale>
#include <csignal>
#include <cstdio>
#include <curl/curl.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace usher::courier {

namespace {

using gateway::Clock;
using gateway::Level;
using gateway::log;

// In one step, so that whoever waits for the file never reads half of it.
void write_ready_file(const std::string &path, const std::string &admin) {
    const std::string text = nlohmann::ordered_json{{"admin", admin}, {"pid", getpid()}}.dump() + '\n';
    const std::string temporary = path + ".new";
    std::FILE *file = std::fopen(temporary.c_str(), "we");
    const bool is_written = file != nullptr && std::fputs(text.c_str(), file) >= 0;
    const bool is_closed = file != nullptr && std::fclose(file) == 0;
    if (!is_written || !is_closed || std::rename(temporary.c_str(), path.c_str()) != 0)
        throw gateway::ConfigError("could not write ready file " + path);
}

sigset_t stop_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
    return signals;
}

// Returns true when all that was being sent has been sent. A second signal ends the wait.
bool drain(const CourierConfig &config, const sigset_t &signals, gateway::Drain &sign, Courier &courier) {
    log(Level::info, "drain", {{"timeout_ms", config.drain_timeout_ms}});
    sign.announce();
    courier.finish();
    const auto wait = [&](int milliseconds) {
        const auto deadline = Clock::now() + std::chrono::milliseconds(milliseconds);
        while (!courier.is_done() && Clock::now() < deadline) {
            const timespec limit = {0, 20000000};
            if (sigtimedwait(&signals, nullptr, &limit) > 0) break;
        }
        return courier.is_done();
    };
    if (wait(config.drain_timeout_ms)) return true;
    courier.abandon(); // the database hears that they were not finished
    wait(5000);
    return false;
}

int run(const CourierConfig &config) {
    // Before any thread starts, so that all of them leave these signals to this one.
    const sigset_t signals = stop_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN); // nothing is read again; it would end the process without a word to the database
    setenv("PGTZ", "UTC", 1);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    std::setlocale(LC_CTYPE, "C.UTF-8"); // libidn2, in libcurl, takes names in the characters of the locale

    gateway::Metrics metrics;
    gateway::BackOff back_off;
    gateway::Drain sign;
    Counts counts;
    Courier courier(config, back_off, metrics, counts);
    CourierAdmin admin(config, back_off, metrics, counts, sign);
    const gateway::Drain never; // the admin listener goes on while the courier finishes
    gateway::Server server(config, admin, never, nullptr, nullptr, 16);
    const int port = server.bind(config.admin_listen, config.admin_port, config.port_search);
    const bool is_ipv6 = config.admin_listen.find(':') != std::string::npos;
    const std::string address =
        "http://" + (is_ipv6 ? '[' + config.admin_listen + ']' : config.admin_listen) + ':' + std::to_string(port);
    server.start();
    courier.start();
    log(Level::info, "working", {{"admin", address}, {"worker", config.worker}, {"version", USHER_VERSION}});
    if (!config.ready_file.empty()) write_ready_file(config.ready_file, address);

    int signal = 0;
    while (sigwait(&signals, &signal) != 0) {
    }
    const bool is_clean = drain(config, signals, sign, courier);
    if (!config.ready_file.empty()) std::remove(config.ready_file.c_str());
    log(is_clean ? Level::info : Level::warning, "stopped", {{"given_up", !is_clean}});
    // Threads may still hold connections: the process ends without them.
    std::_Exit(is_clean ? 0 : 1);
}

int complain(const gateway::Mistakes &mistakes) {
    for (const std::string &message : mistakes.messages()) std::cerr << "usher-courier: " << message << '\n';
    return 2;
}

} // namespace

} // namespace usher::courier

int main(int argc, char **argv) {
    using namespace usher::courier;
    using Action = CourierInvocation::Action;
    try {
        const CourierInvocation invocation = read_courier_config(argc, argv, environ);
        if (invocation.action == Action::help) {
            std::cout << courier_help();
            return 0;
        }
        if (invocation.action == Action::version) {
            std::cout << "usher-courier " USHER_VERSION "\n";
            return 0;
        }
        if (!invocation.mistakes.messages().empty()) return complain(invocation.mistakes);
        if (invocation.action == Action::run) return run(invocation.config);
        std::cout << "configuration is valid\n";
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "usher-courier: " << error.what() << '\n';
    }
    return 1;
}
