#include "connection.hpp"
#include "errors.hpp"
#include "log.hpp"
#include <cerrno>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace usher::gateway {

using std::chrono::milliseconds;

Drain::Drain() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
Drain::~Drain() { close(descriptor_); }
void Drain::begin() {
    announce();
    has_begun_ = true;
    eventfd_write(descriptor_, 1); // never read: stays readable for everybody
}

namespace {

Address peer_of(int socket) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    Address address;
    address.bytes[15] = 1; // ::1, for sockets without an address
    if (getpeername(socket, reinterpret_cast<sockaddr *>(&storage), &length) != 0) return address;
    if (storage.ss_family == AF_INET6) {
        const auto *v6 = reinterpret_cast<const sockaddr_in6 *>(&storage);
        std::copy(std::begin(v6->sin6_addr.s6_addr), std::end(v6->sin6_addr.s6_addr), address.bytes.begin());
    } else if (storage.ss_family == AF_INET) {
        const auto *v4 = reinterpret_cast<const sockaddr_in *>(&storage);
        const auto *bytes = reinterpret_cast<const std::uint8_t *>(&v4->sin_addr);
        address.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, bytes[0], bytes[1], bytes[2], bytes[3]};
    }
    return address;
}

// Milliseconds for poll: rounded up, never negative.
int left_until(std::chrono::steady_clock::time_point deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

struct ClientGone {}; // thrown when there is nobody left to answer

} // namespace

// False after the deadline, or when polling fails.
bool Connection::wait_for(Transport::State state, Clock::time_point deadline) {
    pollfd socket = {socket_, static_cast<short>(state == Transport::State::wants_write ? POLLOUT : POLLIN), 0};
    while (true) {
        const int left = left_until(deadline);
        if (left == 0) return false;
        const int ready = poll(&socket, 1, left);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return false;
    }
}

bool Connection::open() {
    const auto deadline = Clock::now() + milliseconds(config_.head_timeout_ms);
    while (true) {
        const Transport::State state = transport_->open();
        if (state == Transport::State::done) return true;
        if (state == Transport::State::ended || !wait_for(state, deadline)) return false;
    }
}

void Connection::run() {
    peer_ = peer_of(socket_);
    bool must_linger = false;
    for (int count = 1; count <= config_.max_requests_per_connection; ++count) {
        // What is in the buffer already was sent before the drain began: it is answered.
        if (buffer_.empty() && !wait_for_request(count == 1)) break;
        must_linger = true;
        if (!serve_one(count == config_.max_requests_per_connection)) break;
        must_linger = false;
    }
    if (must_linger) linger();
}

void Connection::refuse() {
    Exchange exchange;
    exchange.peer = exchange.client = peer_of(socket_);
    exchange.started = Clock::now();
    handler_.begin(exchange);
    Response response = problem({503, "overloaded", "Too many connections.", {{"Retry-After", "1"}}, true}, "",
                                exchange.correlation_id);
    handler_.complete(exchange, response);
    const bool was_sent = send(response, false);
    handler_.finished(exchange, response, was_sent);
    linger();
}

// False when the connection is to end: closed, idle for too long, or the gateway stops.
bool Connection::wait_for_request(bool is_first) {
    auto deadline = Clock::now() + milliseconds(is_first ? std::min(config_.head_timeout_ms, config_.idle_timeout_ms)
                                                         : config_.idle_timeout_ms);
    if (transport_->has_pending()) return true;
    bool heeds_drain = true;
    while (true) {
        pollfd sockets[2] = {{socket_, POLLIN, 0}, {drain_.descriptor(), POLLIN, 0}};
        const int ready = poll(sockets, heeds_drain ? 2 : 1, left_until(deadline));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return false;
        if (sockets[0].revents != 0) return true;
        // Whoever has just connected, or is between two requests, has not been told to go elsewhere.
        heeds_drain = false;
        deadline = std::min(deadline, Clock::now() + milliseconds(1000));
    }
}

// False at the end of the stream. Throws Refused (408) after the deadline.
bool Connection::read_more(Clock::time_point deadline) {
    char bytes[16384];
    while (true) {
        const Transport::Result result = transport_->read(bytes, sizeof bytes);
        if (result.state == Transport::State::done) {
            buffer_.append(bytes, result.count);
            return true;
        }
        if (result.state == Transport::State::ended) return false;
        if (!wait_for(result.state, deadline))
            throw Refused{408, "request_timeout", "The request did not arrive in time.", {}, true};
    }
}

std::string Connection::read_head(Clock::time_point deadline) {
    const auto limit = static_cast<std::size_t>(config_.max_head_bytes);
    std::size_t searched = 0;
    while (true) {
        const std::size_t end = find_end_of_head(buffer_, searched);
        if (end != std::string::npos && end <= limit) {
            std::string head = buffer_.substr(0, end);
            buffer_.erase(0, end);
            return head;
        }
        if (end != std::string::npos || buffer_.size() > limit) {
            if (buffer_.find('\n') >= limit)
                throw Refused{414, "target_too_long", "The request line is too long.", {}, true};
            throw Refused{431, "head_too_large", "The request head is too large.", {}, true};
        }
        searched = buffer_.size();
        if (!read_more(deadline)) {
            if (buffer_.empty()) throw ClientGone{};
            throw Refused{400, "malformed_request", "The request ended within its head.", {}, true};
        }
    }
}

void Connection::read_body(Request &request) {
    if (!request.has_body()) return;
    if (request.expects_continue && buffer_.empty() && !write_all("HTTP/1.1 100 Continue\r\n\r\n")) throw ClientGone{};
    const auto deadline = Clock::now() + milliseconds(config_.body_timeout_ms);
    const auto more = [&] {
        if (!read_more(deadline))
            throw Refused{400, "malformed_request", "The request ended within its body.", {}, true};
    };
    if (request.is_chunked) {
        ChunkedBody body(static_cast<std::size_t>(config_.max_body_bytes));
        while (true) {
            buffer_.erase(0, body.feed(buffer_));
            if (body.is_complete()) break;
            more();
        }
        request.body = body.take();
    } else {
        const std::size_t length = *request.content_length;
        while (buffer_.size() < length) more();
        request.body = buffer_.substr(0, length);
        buffer_.erase(0, length);
    }
}

// Reads one request and answers it. False when the connection is to end.
bool Connection::serve_one(bool must_close) {
    Exchange exchange;
    exchange.peer = exchange.client = peer_;
    exchange.client_socket = socket_;
    exchange.started = Clock::now();
    bool has_begun = false;
    bool body_is_pending = false;
    Response response;
    const auto begin = [&] {
        if (!has_begun) handler_.begin(exchange);
        has_begun = true;
    };
    std::string head;
    try {
        head = read_head(exchange.started + milliseconds(config_.head_timeout_ms));
        const Limits limits{static_cast<std::size_t>(config_.max_target_bytes),
                            static_cast<std::size_t>(config_.max_headers),
                            static_cast<std::size_t>(config_.max_body_bytes)};
        exchange.request = parse_head(head, limits);
        begin();
        body_is_pending = exchange.request.has_body();
        handler_.check_head(exchange);
        read_body(exchange.request);
        body_is_pending = false;
        response = handler_.answer(exchange);
    } catch (const ClientGone &) {
        response.status = 499; // as proxies log it
        if (has_begun) handler_.finished(exchange, response, false);
        return false;
    } catch (const Refused &refusal) {
        if (exchange.request.method.empty()) exchange.request = read_what_can_be(head.empty() ? buffer_ : head);
        begin();
        response = problem(refusal, exchange.request.path, exchange.correlation_id);
        response.close |= body_is_pending;
    } catch (const std::exception &error) { // out of memory, for example
        begin();
        log(Level::error, "internal_error", {{"message", error.what()}, {"correlation_id", exchange.correlation_id}});
        response = problem({500, "internal_error", "The request could not be processed."}, exchange.request.path,
                           exchange.correlation_id);
        response.close = true;
    }
    response.close |= must_close || exchange.request.wants_close || drain_.is_announced();
    response.says_it_stays = exchange.request.is_http_1_0;
    handler_.complete(exchange, response);
    const bool was_sent = send(response, exchange.request.method == "HEAD");
    handler_.finished(exchange, response, was_sent);
    return was_sent && !response.close;
}

// A small answer in one piece; a large one is not copied for that.
bool Connection::send(const Response &response, bool to_head) {
    std::string bytes = serialize_head(response);
    const bool has_body = sends_body(response, to_head);
    const bool is_large = has_body && response.body.size() > 65536;
    if (has_body && !is_large) bytes += response.body;
    return write_all(bytes) && (!is_large || write_all(response.body));
}

bool Connection::write_all(std::string_view bytes) {
    const auto deadline = Clock::now() + milliseconds(config_.write_timeout_ms);
    for (std::size_t done = 0; done < bytes.size();) {
        const Transport::Result result = transport_->write(bytes.substr(done));
        if (result.state == Transport::State::done)
            done += result.count;
        else if (result.state == Transport::State::ended || !wait_for(result.state, deadline))
            return false;
    }
    return true;
}

// Closing while the client still sends would make TCP throw our answer away (RFC 9112 section 9.6): say that we are
// done, then read for a moment what is still coming.
void Connection::linger() {
    transport_->say_goodbye();
    shutdown(socket_, SHUT_WR);
    const auto deadline = Clock::now() + milliseconds(1000);
    char bytes[16384];
    for (std::size_t total = 0; total < std::size_t{4} * 1024 * 1024;) {
        pollfd socket = {socket_, POLLIN, 0};
        if (poll(&socket, 1, left_until(deadline)) <= 0) return;
        const ssize_t count = recv(socket_, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count <= 0) return;
        total += static_cast<std::size_t>(count);
    }
}

} // namespace usher::gateway
