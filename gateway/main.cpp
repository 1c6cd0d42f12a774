// usher-gateway: reads its configuration, listens, and stops in good order.
#include "admin.hpp"
#include "gateway.hpp"
#include "log.hpp"
#include "pages.hpp"
#include "server.hpp"
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <iostream>
#include <malloc.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

namespace usher::gateway {

namespace {

std::string url(const char *scheme, const std::string &host, int port) {
    const bool is_ipv6 = host.find(':') != std::string::npos;
    return scheme + std::string("://") + (is_ipv6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

// In one step, so that whoever waits for the file never reads half of it.
void write_ready_file(const std::string &path, const std::string &gateway, const std::string &admin) {
    const std::string text =
        nlohmann::ordered_json{{"gateway", gateway}, {"admin", admin}, {"pid", getpid()}}.dump() + '\n';
    const std::string temporary = path + ".new";
    std::FILE *file = std::fopen(temporary.c_str(), "we");
    const bool is_written = file != nullptr && std::fputs(text.c_str(), file) >= 0;
    const bool is_closed = file != nullptr && std::fclose(file) == 0;
    if (!is_written || !is_closed || std::rename(temporary.c_str(), path.c_str()) != 0)
        throw ConfigError("could not write ready file " + path);
}

sigset_t handled_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    return signals;
}

// The next signal within the time, or 0.
int wait_for_signal(const sigset_t &signals, std::chrono::milliseconds time) {
    const timespec limit = {time.count() / 1000, (time.count() % 1000) * 1000000};
    const int signal = sigtimedwait(&signals, nullptr, &limit);
    return signal > 0 ? signal : 0;
}

// Waits until the time is over, or is asked to stop (again).
void wait_unless_stopped(const sigset_t &signals, std::chrono::milliseconds time, const auto &is_over) {
    const auto deadline = Clock::now() + time;
    while (!is_over() && Clock::now() < deadline)
        if (const int signal = wait_for_signal(signals, std::chrono::milliseconds(20));
            signal == SIGTERM || signal == SIGINT)
            return;
}

// What SIGHUP reads again: certificate and key, and the pages. What cannot be used changes nothing.
void reload(const Config &config, Tls *tls, Pages &pages) {
    try {
        if (tls != nullptr) tls->load();
        pages.load(Pages::folder_for(config.pages));
        log(Level::info, "reload", {{"tls", tls != nullptr}});
    } catch (const ConfigError &error) {
        log(Level::error, "reload_failed", {{"message", error.what()}});
    }
}

// Waits for SIGTERM or SIGINT.
void wait_for_stop(const sigset_t &signals, const Config &config, Tls *tls, Pages &pages) {
    while (true) {
        const int signal = sigwaitinfo(&signals, nullptr);
        if (signal == SIGTERM || signal == SIGINT) return;
        if (signal == SIGHUP) reload(config, tls, pages);
    }
}

// Returns true when the last request was answered in time. A second signal ends the wait.
bool drain_requests(const Config &config, const sigset_t &signals, Drain &drain, Server &server, Pool &pool) {
    using std::chrono::milliseconds;
    log(Level::info, "drain", {{"delay_ms", config.drain_delay_ms}, {"timeout_ms", config.drain_timeout_ms}});
    drain.announce();
    wait_unless_stopped(signals, milliseconds(config.drain_delay_ms), [] { return false; });
    drain.begin();
    server.stop_accepting();
    const auto is_done = [&] { return server.is_done(); };
    wait_unless_stopped(signals, milliseconds(config.drain_timeout_ms), is_done);
    if (is_done()) return true;
    pool.cancel_all(); // their clients hear 504, and the server is not left with work nobody waits for
    wait_unless_stopped(signals, milliseconds(3000), is_done);
    return false;
}

// Says everything that is wrong, one line each.
int complain(const Mistakes &mistakes) {
    for (const std::string &message : mistakes.messages()) std::cerr << "usher-gateway: " << message << '\n';
    return 2;
}

// --check-config: the options have been read; now the files that they name.
int check_files(const Config &config, Mistakes &mistakes) {
    mistakes.attempt([&] {
        if (!config.tls_certificate.empty() && !config.tls_key.empty()) Tls(config).load();
    });
    mistakes.attempt([&] { (void)Pages::folder_for(config.pages); });
    if (!mistakes.messages().empty()) return complain(mistakes);
    std::cout << "configuration is valid\n";
    return 0;
}

// Each connection is a file descriptor; the usual soft limit of 1024 would be reached before max_connections.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// The memory of a large answer goes back to the system when it is freed. Left to itself, glibc takes the first such
// buffer as a reason to keep the next ones in its heap.
void return_large_buffers() {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

int run(const Config &config) {
    raise_descriptor_limit();
    return_large_buffers();
    // Before any thread starts, so that all of them leave these signals to this one.
    const sigset_t signals = handled_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    setenv("PGTZ", "UTC", 1); // libpq sends it at the start of a session, as poolers want it

    std::optional<Tls> tls;
    if (!config.tls_certificate.empty()) tls.emplace(config).load();
    Tls *const tls_or_none = tls ? &*tls : nullptr;
    Pages pages;
    pages.load(Pages::folder_for(config.pages));

    Metrics metrics;
    Drain drain;
    BackOff back_off;
    BackOff standby_back_off;
    Pool pool(config, config.database, {config.pool_size, config.pool_overflow, config.most_costly()}, back_off,
              metrics);
    const int standby_count = config.standby_database.empty() ? 0 : config.standby_pool_size;
    Pool standbys(config, config.standby_database, {standby_count, 0, standby_count}, standby_back_off, metrics);
    const KnownRoutes known_routes(config, back_off, metrics);
    Gateway gateway(config, pool, standbys, known_routes, pages, metrics);
    Admin admin(config, back_off, metrics, drain);
    const Drain never; // the admin listener goes on while the public one drains
    Server admin_server(config, admin, never, nullptr, nullptr, 16);
    Server server(config, gateway, drain, tls_or_none, &metrics, config.max_connections);

    const int port = server.bind(config.listen, config.port, config.port_search);
    const std::string address = url(tls ? "https" : "http", config.listen, port);
    const int admin_port = admin_server.bind(config.admin_listen, config.admin_port, config.port_search);
    const std::string admin_address = url("http", config.admin_listen, admin_port);
    admin_server.start();
    server.start();
    log(Level::info, "listening", {{"gateway", address}, {"admin", admin_address}, {"version", USHER_VERSION}});
    if (!config.ready_file.empty()) write_ready_file(config.ready_file, address, admin_address);

    wait_for_stop(signals, config, tls_or_none, pages);
    const bool is_clean = drain_requests(config, signals, drain, server, pool);
    if (!config.ready_file.empty()) std::remove(config.ready_file.c_str());
    log(is_clean ? Level::info : Level::warning, "stopped", {{"requests_cut_off", !is_clean}});
    // Threads may still hold connections (of the admin listener, or cut off): the process ends without them.
    std::_Exit(is_clean ? 0 : 1);
}

} // namespace

} // namespace usher::gateway

int main(int argc, char **argv) {
    using namespace usher::gateway;
    try {
        Invocation invocation = read_config(argc, argv, environ);
        switch (invocation.action) {
        case Invocation::Action::help: std::cout << help_text(); return 0;
        case Invocation::Action::version: std::cout << "usher-gateway " USHER_VERSION "\n"; return 0;
        case Invocation::Action::check: return check_files(invocation.config, invocation.mistakes);
        case Invocation::Action::run:
            if (!invocation.mistakes.messages().empty()) return complain(invocation.mistakes);
            return run(invocation.config);
        }
    } catch (const ConfigError &error) {
        std::cerr << "usher-gateway: " << error.what() << '\n';
        return 2;
    } catch (const std::exception &error) {
        std::cerr << "usher-gateway: " << error.what() << '\n';
    }
    return 1;
}
