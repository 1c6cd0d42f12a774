// What a request says, and the strict reading of its head and of chunked bodies (RFC 9110, RFC 9112).
//
// Anything that two programs could read in two ways is refused, because a proxy in front of the gateway may read it the
// other way (request smuggling). No function here does I/O, so that they can be tested and fuzzed on their own.
#pragma once
#include "common/text.hpp"
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher::gateway {

struct Field {
    std::string name;
    std::string value;
};

struct Limits {
    std::size_t target_bytes = 8192;
    std::size_t header_count = 64;
    std::size_t body_bytes = 1 << 20;
};

struct Request {
    std::string method;
    std::string path;          // as sent, still percent-encoded
    std::string query;         // without the question mark
    std::vector<Field> fields; // names in lower case
    bool is_http_1_0 = false;
    bool wants_close = false;
    bool expects_continue = false;
    bool is_chunked = false;
    std::optional<std::size_t> content_length;
    std::string body;

    /// The value of a field that occurs once, or nullptr. For repeated ones: the first.
    const std::string *find(std::string_view lower_case_name) const;
    bool has_body() const { return is_chunked || content_length.value_or(0) > 0; }
};

/// Reads a head, everything up to and including the empty line. Throws Refused, always with close.
Request parse_head(std::string_view head, const Limits &limits);

/// What can be told of a head that is refused, for the log: method and path, and the fields that are well-formed.
Request read_what_can_be(std::string_view head);

/// Where a head ends in what has been read (one past the empty line), or npos when more is needed. A bare line feed
/// ends the search at once: parse_head refuses it.
std::size_t find_end_of_head(std::string_view bytes, std::size_t searched);

/// Decodes "Transfer-Encoding: chunked" piece by piece.
class ChunkedBody {
public:
    explicit ChunkedBody(std::size_t max_bytes) : max_bytes_(max_bytes) {}
    /// Takes bytes and returns how many of them belong to this body. Throws Refused, always with close.
    std::size_t feed(std::string_view bytes);
    bool is_complete() const { return state_ == State::done; }
    std::string take() { return std::move(body_); }

private:
    enum class State { size_line, data, data_end, trailer, done };
    bool take_line(char c);
    void end_of_line();

    State state_ = State::size_line;
    std::size_t max_bytes_;
    std::size_t left_ = 0;     // bytes of the current chunk still to come
    std::size_t overhead_ = 0; // size lines and trailers, bounded like the body
    std::string line_;
    std::string body_;
};

/// Bytes that may stand in a token (RFC 9110 section 5.6.2).
bool is_token(std::string_view text);
/// Printable text without control characters (tab allowed); bytes above 0x7f are left to is_utf8.
bool is_field_value(std::string_view text);
bool is_utf8(std::string_view text);
std::string lower_case(std::string_view text);
/// Percent-decoding; nullopt for a broken escape.
std::optional<std::string> percent_decode(std::string_view text);

} // namespace usher::gateway
