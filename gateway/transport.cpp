#include "transport.hpp"
#include <cerrno>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

namespace usher::gateway {

namespace {

using State = Transport::State;

class Plain final : public Transport {
public:
    explicit Plain(int socket) : socket_(socket) {}

    Result read(char *bytes, std::size_t size) override {
        while (true) {
            const ssize_t count = recv(socket_, bytes, size, MSG_DONTWAIT);
            if (count > 0) return {State::done, static_cast<std::size_t>(count)};
            if (count == 0) return {State::ended};
            if (errno == EAGAIN || errno == EWOULDBLOCK) return {State::wants_read};
            if (errno != EINTR) return {State::ended};
        }
    }

    Result write(std::string_view bytes) override {
        while (true) {
            const ssize_t count = send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (count > 0) return {State::done, static_cast<std::size_t>(count)};
            if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {State::wants_write};
            if (count < 0 && errno != EINTR) return {State::ended};
        }
    }

private:
    int socket_;
};

class Secure final : public Transport {
public:
    Secure(int socket, SSL_CTX *context) : ssl_(SSL_new(context)) {
        if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket) != 1) throw std::bad_alloc{};
        SSL_set_accept_state(ssl_.get());
    }

    State open() override {
        ERR_clear_error();
        return SSL_is_init_finished(ssl_.get()) != 0 ? State::done : state_of(SSL_do_handshake(ssl_.get()));
    }

    Result read(char *bytes, std::size_t size) override {
        ERR_clear_error();
        std::size_t count = 0;
        const State state = state_of(SSL_read_ex(ssl_.get(), bytes, size, &count));
        return {state, count};
    }

    Result write(std::string_view bytes) override {
        ERR_clear_error();
        std::size_t count = 0;
        const State state = state_of(SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count));
        return {state, count};
    }

    bool has_pending() const override { return SSL_has_pending(ssl_.get()) != 0; }

    void say_goodbye() override {
        ERR_clear_error();
        if (SSL_is_init_finished(ssl_.get()) != 0 && !is_broken_) SSL_shutdown(ssl_.get());
    }

private:
    State state_of(int outcome) {
        if (outcome == 1) return State::done;
        switch (SSL_get_error(ssl_.get(), outcome)) {
        case SSL_ERROR_WANT_READ: return State::wants_read;
        case SSL_ERROR_WANT_WRITE: return State::wants_write;
        case SSL_ERROR_ZERO_RETURN: return State::ended;
        default: is_broken_ = true; return State::ended;
        }
    }

    struct Free {
        void operator()(SSL *ssl) const { SSL_free(ssl); }
    };
    std::unique_ptr<SSL, Free> ssl_;
    bool is_broken_ = false; // OpenSSL must not be asked for a goodbye then
};

// The oldest error on OpenSSL's list, as text; the list is empty afterwards.
std::string openssl_error() {
    char text[200];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return text;
}

// The only protocol that we speak (RFC 7301). A client that does not offer it goes on without.
int select_protocol(SSL *, const unsigned char **out, unsigned char *length, const unsigned char *in, unsigned count,
                    void *) {
    static constexpr unsigned char ours[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    unsigned char *chosen = nullptr;
    if (SSL_select_next_proto(&chosen, length, ours, sizeof ours, in, count) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

} // namespace

std::unique_ptr<Transport> plain_transport(int socket) { return std::make_unique<Plain>(socket); }

void Tls::load() {
    std::shared_ptr<SSL_CTX> fresh(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    if (fresh == nullptr) throw ConfigError("could not start TLS: " + openssl_error());
    SSL_CTX_set_min_proto_version(fresh.get(), config_.tls_min_version == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
    // TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9325)
    SSL_CTX_set_cipher_list(fresh.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_options(fresh.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(fresh.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(fresh.get(), select_protocol, nullptr);
    if (SSL_CTX_use_certificate_chain_file(fresh.get(), config_.tls_certificate.c_str()) != 1)
        throw ConfigError("could not read a certificate from tls_certificate " + config_.tls_certificate + ": " +
                          openssl_error());
    if (SSL_CTX_use_PrivateKey_file(fresh.get(), config_.tls_key.c_str(), SSL_FILETYPE_PEM) != 1)
        throw ConfigError("could not use the private key in tls_key " + config_.tls_key + ": " + openssl_error());
    if (SSL_CTX_check_private_key(fresh.get()) != 1)
        throw ConfigError("tls_key does not belong to the certificate in tls_certificate: " + openssl_error());
    const std::lock_guard lock(mutex_);
    context_ = std::move(fresh);
}

std::unique_ptr<Transport> Tls::transport(int socket) const {
    std::shared_ptr<SSL_CTX> context;
    {
        const std::lock_guard lock(mutex_);
        context = context_;
    }
    return std::make_unique<Secure>(socket, context.get()); // SSL_new keeps a reference of its own
}

} // namespace usher::gateway
