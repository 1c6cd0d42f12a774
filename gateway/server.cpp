#include "server.hpp"
#include "http.hpp"
#include "log.hpp"
#include <condition_variable>
#include <deque>
#include <fcntl.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <poll.h>

namespace usher::gateway {

namespace {

// A thread per open connection, kept for a while for the next one. httplib's own pool starts a thread only when none
// is idle at that moment: in a burst of connections some then wait until a kept-alive one ends.
class ConnectionThreads final : public httplib::TaskQueue {
public:
    explicit ConnectionThreads(int most) : most_(static_cast<std::size_t>(most)) {}

    bool enqueue(std::function<void()> task) override {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        if (tasks_.size() >= idle_) {          // every idle thread has a task on its way to it
            if (alive_ >= most_) return false; // httplib closes the socket
            try {
                std::thread([this] { work(); }).detach();
            } catch (const std::system_error &error) {
                log(Level::error, "thread_start_failed", {{"message", error.what()}});
                return false;
            }
            ++alive_;
            ++idle_; // the new thread is on its way to the queue
        }
        tasks_.push_back(std::move(task));
        available_.notify_one();
        return true;
    }

    void shutdown() override { // returns when the last connection has ended
        std::unique_lock lock(mutex_);
        stopping_ = true;
        available_.notify_all();
        ended_.wait(lock, [this] { return alive_ == 0; });
    }

private:
    void work() {
        std::unique_lock lock(mutex_);
        while (true) {
            const bool has_task =
                available_.wait_for(lock, std::chrono::seconds(10), [this] { return !tasks_.empty() || stopping_; });
            if (!has_task || tasks_.empty()) break;
            const std::function<void()> task = std::move(tasks_.front());
            tasks_.pop_front();
            --idle_;
            lock.unlock();
            task();
            lock.lock();
            ++idle_;
        }
        --idle_;
        --alive_;
        ended_.notify_all(); // under the lock: shutdown() cannot return, and this object go away, before we are done
    }

    const std::size_t most_;
    std::mutex mutex_;
    std::condition_variable available_;
    std::condition_variable ended_;
    std::deque<std::function<void()>> tasks_;
    std::size_t alive_ = 0; // threads
    std::size_t idle_ = 0;  // threads that will take a task
    bool stopping_ = false;
};

// Packets of fewer hops left than these are dropped. A socket that has only one of the two families refuses the other.
void demand_hops(socket_t socket, int least) {
    setsockopt(socket, IPPROTO_IP, IP_MINTTL, &least, sizeof least);
    setsockopt(socket, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least, sizeof least);
}

} // namespace

// httplib's accept loop hands each socket to this, from a thread of the task queue.
class Server::Listener final : public httplib::Server {
public:
    Listener(const Config &config, usher::gateway::Handler &handler, const Drain &drain, const Tls *tls,
             Metrics *metrics, int most)
        : config_(config), handler_(handler), drain_(drain), tls_(tls), metrics_(metrics), most_(most) {
        // Some threads more than connections are served: they tell the others that there is no room.
        new_task_queue = [threads = most + 8 + most / 8] { return new ConnectionThreads(threads); };
    }

    /// New clients are no longer let in; returns when those who are in have been accepted.
    void close_the_door();

private:
    bool process_and_close_socket(socket_t socket) override;

    const Config &config_;
    usher::gateway::Handler &handler_;
    const Drain &drain_;
    const Tls *const tls_;
    Metrics *const metrics_; // of the public listener
    const int most_;
    std::atomic<int> open_{0};
    std::atomic<bool> is_closing_{false};
};

bool Server::Listener::process_and_close_socket(socket_t socket) {
    if (is_closing_) demand_hops(socket, 0); // it has that of the listening socket
    const int now_open = ++open_;
    if (metrics_ != nullptr) ++metrics_->open_connections;
    try {
        if (tls_ != nullptr) fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
        Connection connection(socket, tls_, config_, handler_, drain_);
        if (!connection.open()) {
            if (metrics_ != nullptr) ++metrics_->tls_failures;
        } else if (now_open <= most_) {
            connection.run();
        } else {
            if (metrics_ != nullptr) ++metrics_->connections_refused;
            connection.refuse();
        }
    } catch (const std::exception &error) { // only memory can be the reason; one connection ends, the others go on
        log(Level::error, "connection_failed", {{"message", error.what()}});
    }
    httplib::detail::close_socket(socket);
    if (metrics_ != nullptr) --metrics_->open_connections;
    --open_;
    return true;
}

// The kernel makes connections before they are accepted, and resets those that are in its queue when the socket is
// closed: their clients have sent requests already. So what would begin a new connection is dropped first (its client
// tries again, and finds nobody), and the queue is emptied. What drops it is the check of hops that is meant for
// neighbours (GTSM, RFC 5082): a packet must come with a TTL of 255, and systems send with 64 or 128. The kernel makes
// that check where a connection begins, not where a handshake that has begun is completed; and it needs no privilege,
// unlike a packet filter, which hardened systems refuse to ordinary users.
void Server::Listener::close_the_door() {
    const socket_t listening = svr_sock_;
    if (listening == INVALID_SOCKET) return;
    is_closing_ = true;
    demand_hops(listening, 255);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    constexpr int quiet_ms = 50; // for handshakes that are on their way
    while (std::chrono::steady_clock::now() < deadline) {
        pollfd queue = {listening, POLLIN, 0};
        const int ready = poll(&queue, 1, quiet_ms);
        if (ready == 0) return;
        if (ready > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1)); // httplib's loop takes it
    }
}

Server::Server(const Config &config, Handler &handler, const Drain &drain, const Tls *tls, Metrics *metrics,
               int max_connections)
    : listener_(std::make_unique<Listener>(config, handler, drain, tls, metrics, max_connections)) {
    listener_->set_tcp_nodelay(true);
    // httplib's default is SO_REUSEPORT, with which two gateways could share a port without noticing.
    listener_->set_socket_options(
        [](socket_t socket) { httplib::set_socket_opt(socket, SOL_SOCKET, SO_REUSEADDR, 1); });
}

Server::~Server() {
    stop_accepting();
    wait();
}

int Server::bind(const std::string &host, int port, int search) {
    if (port == 0) {
        const int bound = listener_->bind_to_any_port(host);
        if (bound <= 0) throw ConfigError("could not listen on " + host + " at any port");
        return bound;
    }
    for (int candidate = port; candidate <= port + search && candidate <= 65535; ++candidate) {
        if (listener_->bind_to_port(host, candidate)) return candidate;
        listener_->stop(); // after a failure httplib takes no other port until told to stop
    }
    throw ConfigError("could not listen on " + host + " port " + std::to_string(port) +
                      (search > 0 ? " or the " + std::to_string(search) + " after it" : "") +
                      ": taken, or not allowed");
}

void Server::start() {
    thread_ = std::thread([this] {
        if (!listener_->listen_after_bind()) log(Level::error, "listener_failed", {{"message", "accept failed"}});
        is_done_ = true;
    });
    listener_->wait_until_ready();
}

void Server::stop_accepting() {
    listener_->close_the_door();
    listener_->stop();
}

void Server::wait() {
    if (thread_.joinable()) thread_.join();
}

} // namespace usher::gateway
