// How bytes get to a client and back: a socket as it is, or with TLS on it. Never blocks; who must wait polls.
#pragma once
#include "config.hpp"
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

struct ssl_ctx_st; // OpenSSL's SSL_CTX

namespace usher::gateway {

class Transport {
public:
    enum class State { done, wants_read, wants_write, ended };
    struct Result {
        State state;
        std::size_t count = 0; // bytes, when done
    };
    virtual ~Transport() = default;
    virtual Result read(char *bytes, std::size_t size) = 0;
    virtual Result write(std::string_view bytes) = 0;
    /// One step of the beginning: done when requests may be read.
    virtual State open() { return State::done; }
    /// Something can be read at once, though the socket itself has nothing.
    virtual bool has_pending() const { return false; }
    /// Tells the other side that nothing more will be sent.
    virtual void say_goodbye() {}
};

std::unique_ptr<Transport> plain_transport(int socket);

/// The server's certificate and key, read again on load(). Connections keep what they began with.
class Tls {
public:
    explicit Tls(const Config &config) : config_(config) {}
    /// Reads both files. Throws ConfigError and keeps what it had when they cannot be used.
    void load();
    std::unique_ptr<Transport> transport(int socket) const;

private:
    const Config &config_;
    mutable std::mutex mutex_;
    std::shared_ptr<ssl_ctx_st> context_;
};

} // namespace usher::gateway
