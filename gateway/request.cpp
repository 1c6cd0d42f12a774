#include "request.hpp"
#include "common/encoding.hpp"
#include "errors.hpp"
#include <algorithm>
#include <arpa/inet.h>
#include <array>

namespace usher::gateway {

namespace {

[[noreturn]] void refuse(int status, const char *code, const char *detail) {
    throw Refused{status, code, detail, {}, true};
}
[[noreturn]] void malformed(const char *detail) { refuse(400, "malformed_request", detail); }

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
    return a.size() == lower.size() && lower_case(a) == lower;
}

// Fields that a request has at most once. Two of them could be read as one or the other.
bool is_singleton(std::string_view name) {
    static constexpr std::array<std::string_view, 12> names = {
        "authorization",   "content-encoding", "content-length", "content-type",      "expect",        "host",
        "idempotency-key", "origin",           "sec-fetch-site", "transfer-encoding", "usher-session", "x-csrf-token"};
    return std::find(names.begin(), names.end(), name) != names.end();
}

void parse_target(Request &request, std::string_view target, std::string &authority) {
    if (request.method == "OPTIONS" && target == "*") {
        request.path = "*";
        return;
    }
    if (target.empty() || target.front() != '/') { // absolute-form (RFC 9112 section 3.2.2), as sent to proxies
        std::string_view rest = target;
        const std::string scheme = lower_case(target.substr(0, std::min<std::size_t>(8, target.size())));
        if (scheme.starts_with("http://"))
            rest.remove_prefix(7);
        else if (scheme == "https://")
            rest.remove_prefix(8);
        else
            malformed("The request target is not a path.");
        const std::size_t end = rest.find_first_of("/?");
        authority = rest.substr(0, end);
        if (authority.empty()) malformed("The request target has no host.");
        rest = end == std::string_view::npos ? "" : rest.substr(end);
        const std::size_t mark = rest.find('?');
        request.path = rest.substr(0, mark);
        if (request.path.empty()) request.path = "/";
        if (mark != std::string_view::npos) request.query = rest.substr(mark + 1);
        return;
    }
    const std::size_t mark = target.find('?');
    request.path = target.substr(0, mark);
    if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
}

void check_target(const Request &request) {
    for (const std::string *part : {&request.path, &request.query}) {
        const std::optional<std::string> decoded = percent_decode(*part);
        if (!decoded) malformed("The request target has a broken percent-encoding.");
        if (decoded->find('\0') != std::string::npos || !is_utf8(*decoded))
            malformed("The request target is not valid UTF-8 text.");
        if (part != &request.path) continue;
        for (std::size_t begin = 0; begin <= decoded->size();) { // "." and ".." mean something else to a proxy
            const std::size_t end = std::min(decoded->find('/', begin), decoded->size());
            const std::string_view segment = std::string_view(*decoded).substr(begin, end - begin);
            if (segment == "." || segment == "..") malformed("The request path contains a dot segment.");
            begin = end + 1;
        }
    }
}

// An address of IPv6, without a zone, or what a later version of IP may have (RFC 3986 section 3.2.2).
bool is_ip_literal(std::string_view text) {
    in6_addr address;
    if (inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1) return true;
    const std::size_t dot = text.find('.');
    if (text.empty() || (text.front() != 'v' && text.front() != 'V') || dot == std::string_view::npos || dot < 2)
        return false;
    return std::all_of(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(dot),
                       [](char c) { return hex_value(c) >= 0; }) &&
           dot + 1 < text.size() &&
           std::all_of(text.begin() + static_cast<std::ptrdiff_t>(dot) + 1, text.end(), [](char c) {
               return is_unreserved(c) || std::string_view("!$&'()*+,;=:").find(c) != std::string_view::npos;
           });
}

bool is_version(std::string_view text) {
    return text.size() == 8 && text.starts_with("HTTP/") && text[6] == '.' && is_digit(text[5]) && is_digit(text[7]);
}

// uri-host [":" port] (RFC 9110 section 7.2, RFC 3986 section 3.2.2); an empty host only where there is no authority.
bool is_host(std::string_view text) {
    std::size_t end = text.find(':');
    if (text.starts_with('[')) {
        end = text.find(']');
        if (end == std::string_view::npos || !is_ip_literal(text.substr(1, end - 1))) return false;
        ++end;
        if (end < text.size() && text[end] != ':') return false;
    }
    const std::string_view name = text.substr(0, end);
    const std::string_view port = end >= text.size() ? "" : text.substr(end + 1);
    if (port.size() > 5 || !std::all_of(port.begin(), port.end(), is_digit)) return false;
    if (!port.empty() && std::stoi(std::string(port)) > 65535) return false;
    if (name.empty()) return text.empty();
    if (name.front() == '[') return true;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '%' && percent_decoded(name, i) >= 0)
            i += 2;
        else if (!is_unreserved(name[i]) && std::string_view("!$&'()*+;=").find(name[i]) == std::string_view::npos)
            return false; // a comma is a sub-delimiter too, but here it would be the end of one host among several
    }
    return true;
}

void parse_request_line(Request &request, std::string_view line, const Limits &limits, std::string &authority) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) malformed("The request line is malformed.");
    const std::string_view target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    request.method = line.substr(0, first);
    if (!is_token(request.method)) malformed("The request method is not a token.");
    if (version == "HTTP/1.0")
        request.is_http_1_0 = true;
    else if (!is_version(version))
        malformed("The request line is malformed.");
    else if (version[5] != '1') // later versions of HTTP/1 are understood as 1.1 (RFC 9110 section 2.5)
        refuse(505, "version_not_supported", "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    if (request.method.size() > 32) refuse(501, "not_implemented", "The request method is not implemented.");
    if (target.size() > limits.target_bytes) refuse(414, "target_too_long", "The request target is too long.");
    for (const char c : target)
        if (c <= 0x20 || c >= 0x7f || c == '#') malformed("The request target contains a forbidden character.");
    parse_target(request, target, authority);
    check_target(request);
}

void parse_field(Request &request, std::string_view line) {
    if (line.front() == ' ' || line.front() == '\t') malformed("A header field is folded over two lines.");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) malformed("A header line has no colon.");
    if (!is_token(line.substr(0, colon))) malformed("A header field name is not a token.");
    Field field{lower_case(line.substr(0, colon)), std::string(trim(line.substr(colon + 1), header_space))};
    if (!is_field_value(field.value)) malformed("A header field contains a control character.");
    if (!is_utf8(field.value)) malformed("A header field is not valid UTF-8 text.");
    if (is_singleton(field.name) && request.find(field.name) != nullptr)
        malformed("A header field that may occur once occurs twice.");
    request.fields.push_back(std::move(field));
}

void parse_framing(Request &request, const Limits &limits) {
    const std::string *length = request.find("content-length");
    const std::string *coding = request.find("transfer-encoding");
    if (coding != nullptr) {
        if (length != nullptr) malformed("The request has both Content-Length and Transfer-Encoding.");
        if (request.is_http_1_0) malformed("HTTP/1.0 has no Transfer-Encoding.");
        if (!equals_ignoring_case(*coding, "chunked"))
            refuse(501, "not_implemented", "Only the transfer coding chunked is implemented.");
        request.is_chunked = true;
    }
    if (length != nullptr) {
        if (length->empty() || length->find_first_not_of("0123456789") != std::string::npos)
            malformed("Content-Length is not a number.");
        const std::size_t digits = length->find_first_not_of('0');
        if (digits != std::string::npos && length->size() - digits > 18)
            refuse(413, "body_too_large", "The request body is too large.");
        request.content_length = std::stoull(*length);
        if (*request.content_length > limits.body_bytes)
            refuse(413, "body_too_large", "The request body is too large.");
    }
}

void parse_connection(Request &request) {
    bool keep_alive = false;
    for (const Field &field : request.fields) {
        if (field.name != "connection") continue;
        const std::string value = lower_case(field.value);
        for (std::size_t begin = 0; begin <= value.size();) {
            const std::size_t end = std::min(value.find(',', begin), value.size());
            const std::string_view option = trim(std::string_view(value).substr(begin, end - begin), header_space);
            request.wants_close |= option == "close";
            keep_alive |= option == "keep-alive";
            begin = end + 1;
        }
    }
    request.wants_close |= request.is_http_1_0 && !keep_alive;
    if (const std::string *expect = request.find("expect")) {
        if (!equals_ignoring_case(*expect, "100-continue"))
            refuse(417, "expectation_failed", "The only expectation understood is 100-continue.");
        request.expects_continue = !request.is_http_1_0;
    }
}

} // namespace

const std::string *Request::find(std::string_view name) const {
    for (const Field &field : fields)
        if (field.name == name) return &field.value;
    return nullptr;
}

std::size_t find_end_of_head(std::string_view bytes, std::size_t searched) {
    // An empty line before the request line is skipped by parse_head, so it does not end the head.
    std::size_t at = bytes.starts_with("\r\n") ? 2 : 0;
    at = std::max(at, searched > 3 ? searched - 3 : 0);
    for (; (at = bytes.find('\n', at)) != std::string_view::npos; ++at) {
        if (at == 0 || bytes[at - 1] != '\r') return at + 1; // bare line feed: let it be refused now
        if (at >= 3 && bytes[at - 2] == '\n') return at + 1;
    }
    return std::string_view::npos;
}

Request parse_head(std::string_view head, const Limits &limits) {
    Request request;
    std::string authority;
    if (head.starts_with("\r\n")) head.remove_prefix(2); // RFC 9112 section 2.2
    bool is_first = true;
    while (true) {
        const std::size_t end = head.find('\n');
        if (end == std::string_view::npos) malformed("The request head is not complete.");
        if (end == 0 || head[end - 1] != '\r') malformed("A line of the request head does not end with CRLF.");
        const std::string_view line = head.substr(0, end - 1);
        head.remove_prefix(end + 1);
        if (line.empty()) break;
        if (line.find('\r') != std::string_view::npos || line.find('\0') != std::string_view::npos)
            malformed("The request head contains a control character.");
        if (is_first)
            parse_request_line(request, line, limits, authority);
        else if (request.fields.size() >= limits.header_count)
            refuse(431, "head_too_large", "The request has too many header fields.");
        else
            parse_field(request, line);
        is_first = false;
    }
    if (is_first) malformed("The request line is missing.");
    const std::string *host = request.find("host");
    if (host == nullptr && !request.is_http_1_0) malformed("The header field Host is missing.");
    if (host != nullptr && !is_host(*host)) malformed("The header field Host is malformed.");
    if (!authority.empty()) { // it replaces Host (RFC 9112 section 3.2.2)
        if (!is_host(authority)) malformed("The host in the target is malformed.");
        for (Field &field : request.fields)
            if (field.name == "host") field.value = authority;
    }
    parse_framing(request, limits);
    parse_connection(request);
    return request;
}

Request read_what_can_be(std::string_view head) {
    Request request;
    if (head.starts_with("\r\n")) head.remove_prefix(2);
    bool is_first = true;
    while (!head.empty()) {
        const std::size_t end = std::min(head.find('\n'), head.size());
        const std::string_view line = trim(head.substr(0, end), "\r");
        head.remove_prefix(std::min(end + 1, head.size()));
        if (is_first) {
            constexpr std::size_t longest = 256;
            const std::string_view method = line.substr(0, line.find(' '));
            if (is_token(method) && method.size() <= 32 && method.size() < line.size()) request.method = method;
            const std::string_view target = request.method.empty() ? "" : line.substr(method.size() + 1);
            const std::string_view path = target.substr(0, std::min(target.find_first_of(" ?#"), longest));
            if (path.starts_with('/') && is_field_value(path) && is_utf8(path)) request.path = path;
        } else if (request.fields.size() < 64 && !line.empty() && line.find('\r') == std::string_view::npos) {
            try {
                parse_field(request, line);
            } catch (const Refused &) { // it is not this that the client hears
                continue;
            }
        }
        is_first = false;
    }
    return request;
}

// --- chunked bodies --------------------------------------------------------------------------------------------------

// One character of a size line or trailer; true at its end. Only CRLF ends a line.
bool ChunkedBody::take_line(char c) {
    // Size lines and trailers count too, else a body of tiny chunks with long extensions has no limit.
    if (++overhead_ > max_bytes_ + 8192) refuse(413, "body_too_large", "The request body is too large.");
    if (line_.size() > 4096) malformed("The chunked body is malformed.");
    if (!line_.empty() && line_.back() == '\r') {
        if (c != '\n') malformed("The chunked body is malformed.");
        line_.pop_back();
        return true;
    }
    if (c == '\n' || c == '\0') malformed("The chunked body is malformed.");
    line_ += c;
    return false;
}

void ChunkedBody::end_of_line() {
    if (state_ == State::trailer) {
        if (line_.empty()) {
            state_ = State::done;
        } else { // trailers are read and dropped
            const std::size_t colon = line_.find(':');
            if (colon == std::string::npos || !is_token(std::string_view(line_).substr(0, colon)) ||
                !is_field_value(trim(std::string_view(line_).substr(colon + 1), header_space)))
                malformed("A trailer of the chunked body is malformed.");
        }
    } else {
        const std::string_view line = line_;
        const std::size_t digits = std::min(line.find_first_of("; \t"), line.size());
        const std::string_view extension = trim(line.substr(digits), header_space);
        if (digits == 0 || (!extension.empty() && extension.front() != ';') || !is_field_value(extension))
            malformed("A chunk size is malformed.");
        left_ = 0;
        for (const char c : line.substr(0, digits)) {
            const int value = hex_value(c);
            if (value < 0) malformed("A chunk size is malformed.");
            left_ = left_ * 16 + static_cast<std::size_t>(value);
            if (left_ > max_bytes_ - body_.size()) refuse(413, "body_too_large", "The request body is too large.");
        }
        state_ = left_ == 0 ? State::trailer : State::data;
    }
    line_.clear();
}

std::size_t ChunkedBody::feed(std::string_view bytes) {
    std::size_t at = 0;
    while (at < bytes.size() && state_ != State::done) {
        switch (state_) {
        case State::data: {
            const std::size_t count = std::min(left_, bytes.size() - at);
            body_.append(bytes.substr(at, count));
            at += count;
            left_ -= count;
            if (left_ == 0) state_ = State::data_end;
            break;
        }
        case State::data_end:
            if (take_line(bytes[at++]))
                state_ = State::size_line;
            else if (line_ != "\r")
                malformed("A chunk is longer than its size.");
            break;
        default:
            if (take_line(bytes[at++])) end_of_line();
        }
    }
    return at;
}

// --- small text tools ------------------------------------------------------------------------------------------------

bool is_token(std::string_view text) {
    static constexpr std::string_view punctuation = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               punctuation.find(c) != std::string_view::npos;
    });
}

bool is_field_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte >= 0x20 && byte != 0x7f) || c == '\t';
    });
}

bool is_utf8(std::string_view text) { // RFC 3629: shortest form, no surrogates, at most U+10FFFF
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead < 0x80) {
            ++i;
            continue;
        }
        const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        if (lead < 0xc2 || lead > 0xf4 || text.size() - i < length) return false;
        for (std::size_t k = 1; k < length; ++k)
            if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
        const auto second = static_cast<unsigned char>(text[i + 1]);
        if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
            (lead == 0xf4 && second > 0x8f))
            return false;
        i += length;
    }
    return true;
}

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char &c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        const int byte = percent_decoded(text, i);
        if (byte < 0) return std::nullopt;
        decoded += static_cast<char>(byte);
        i += 2;
    }
    return decoded;
}

} // namespace usher::gateway
