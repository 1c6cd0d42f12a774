// A listening socket and the threads that serve its connections.
#pragma once
#include "connection.hpp"
#include <memory>
#include <thread>

namespace usher::gateway {

class Server {
public:
    /// max_connections: each connection has a thread while it is open; further ones are answered 503 and closed.
    /// tls: nullptr for a listener in the clear.
    Server(const Config &config, Handler &handler, const Drain &drain, const Tls *tls, Metrics *metrics,
           int max_connections);
    ~Server();

    /// Binds to the port, or one of the next `search` ones; 0: any free one. Returns the port; throws ConfigError.
    int bind(const std::string &host, int port, int search);
    void start();
    /// Stops accepting, and loses nobody who has connected already. Connections go on; wait() returns when the last one
    /// has ended.
    void stop_accepting();
    void wait();
    bool is_done() const { return is_done_; }

private:
    class Listener; // httplib's server; its header is large, so it stays in server.cpp
    std::unique_ptr<Listener> listener_;
    std::thread thread_;
    std::atomic<bool> is_done_{false};
};

} // namespace usher::gateway
