// One client connection: reads requests one after the other, lets a handler answer them, writes the answers.
#pragma once
#include "client_address.hpp"
#include "config.hpp"
#include "metrics.hpp"
#include "response.hpp"
#include "transport.hpp"
#include <chrono>
#include <string>

namespace usher::gateway {

/// A request being answered, and what is known about it beside its text.
struct Exchange {
    Request request;
    Address peer;
    Address client; // the peer, or what a trusted proxy says
    std::string correlation_id;
    int client_socket = -1;
    std::chrono::steady_clock::time_point started;
    std::chrono::duration<double, std::milli> wait_time{0}; // for a connection to the database
    std::chrono::duration<double, std::milli> database_time{0};
};

/// What answers requests. Called from many threads.
class Handler {
public:
    virtual ~Handler() = default;
    /// As soon as the head is read: fills in client and correlation_id; never refuses.
    virtual void begin(Exchange &exchange) = 0;
    /// Before the body is read: throws Refused for what needs no body to be refused.
    virtual void check_head(const Exchange &exchange) = 0;
    /// Throws Refused, or returns the answer.
    virtual Response answer(Exchange &exchange) = 0;
    /// Last touch on every answer, also on refusals (security headers and the like).
    virtual void complete(const Exchange &exchange, Response &response) = 0;
    /// The answer has been handed to the client's socket, or could not be.
    virtual void finished(const Exchange &exchange, const Response &response, bool was_sent) = 0;
};

/// The end of a gateway, in two steps. Between them (drain_delay_ms) everything is answered as before, so that those
/// who send requests have time to hear of it.
class Drain {
public:
    Drain();
    ~Drain();
    Drain(const Drain &) = delete;
    Drain &operator=(const Drain &) = delete;
    /// First: readyz says no, and every answer asks its client to come back elsewhere (Connection: close).
    void announce() { is_announced_ = true; }
    bool is_announced() const { return is_announced_; }
    /// Then: connections on which nothing is asked end, after a moment for requests that are on their way.
    void begin();
    bool has_begun() const { return has_begun_; }
    int descriptor() const { return descriptor_; } // readable from then on

private:
    int descriptor_;
    std::atomic<bool> is_announced_{false};
    std::atomic<bool> has_begun_{false};
};

class Connection {
public:
    /// tls: nullptr for a connection in the clear.
    Connection(int socket, const Tls *tls, const Config &config, Handler &handler, const Drain &drain)
        : socket_(socket),
          transport_(tls != nullptr ? tls->transport(socket) : plain_transport(socket)),
          config_(config),
          handler_(handler),
          drain_(drain) {}
    /// Agrees on TLS, where it is spoken. False when that fails.
    bool open();
    /// Serves until the connection ends. Does not close the socket.
    void run();
    /// Says that there are too many connections, without waiting for a request.
    void refuse();

private:
    using Clock = std::chrono::steady_clock;
    bool wait_for(Transport::State state, Clock::time_point deadline);
    bool wait_for_request(bool is_first);
    bool serve_one(bool must_close);
    bool read_more(Clock::time_point deadline);
    std::string read_head(Clock::time_point deadline);
    void read_body(Request &request);
    bool send(const Response &response, bool to_head);
    bool write_all(std::string_view bytes);
    void linger();

    int socket_;
    std::unique_ptr<Transport> transport_;
    const Config &config_;
    Handler &handler_;
    const Drain &drain_;
    Address peer_;
    std::string buffer_; // read, not used yet: the next request, when the client pipelines
};

} // namespace usher::gateway
