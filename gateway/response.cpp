#include "response.hpp"
#include <array>
#include <ctime>
#include <strings.h>

namespace usher::gateway {

const std::string *find_header(const Response &response, std::string_view name) {
    for (const Field &field : response.headers)
        if (field.name.size() == name.size() && strncasecmp(field.name.data(), name.data(), name.size()) == 0)
            return &field.value;
    return nullptr;
}

void default_header(Response &response, const char *name, std::string_view value) {
    if (find_header(response, name) == nullptr) response.headers.push_back({name, std::string(value)});
}

const char *reason_phrase(int status) {
    static constexpr struct {
        int status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {201, "Created"},
                   {202, "Accepted"},
                   {204, "No Content"},
                   {206, "Partial Content"},
                   {301, "Moved Permanently"},
                   {302, "Found"},
                   {303, "See Other"},
                   {304, "Not Modified"},
                   {307, "Temporary Redirect"},
                   {308, "Permanent Redirect"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {402, "Payment Required"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {406, "Not Acceptable"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {410, "Gone"},
                   {411, "Length Required"},
                   {412, "Precondition Failed"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {415, "Unsupported Media Type"},
                   {416, "Range Not Satisfiable"},
                   {417, "Expectation Failed"},
                   {422, "Unprocessable Content"},
                   {423, "Locked"},
                   {428, "Precondition Required"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {499, "Client Closed Request"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {505, "HTTP Version Not Supported"}};
    for (const auto &known : phrases)
        if (known.status == status) return known.phrase;
    return "Status"; // RFC 9112 section 4: clients must not rely on it
}

bool is_connection_header(std::string_view name) {
    static constexpr std::array<std::string_view, 12> names = {"connection",
                                                               "content-length",
                                                               "date",
                                                               "keep-alive",
                                                               "proxy-authenticate",
                                                               "proxy-authorization",
                                                               "server",
                                                               "te",
                                                               "trailer",
                                                               "transfer-encoding",
                                                               "upgrade",
                                                               "proxy-connection"};
    for (const std::string_view other : names)
        if (name == other) return true;
    return false;
}

static const std::string &http_date() { // RFC 9110 section 5.6.7; the same for a whole second
    thread_local std::time_t second = 0;
    thread_local std::string text;
    const std::time_t now = std::time(nullptr);
    if (now != second || text.empty()) {
        std::tm utc{};
        gmtime_r(&now, &utc);
        char buffer[64];
        text.assign(buffer, std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &utc));
        second = now;
    }
    return text;
}

namespace {
bool has_no_content(const Response &response) { // RFC 9110 section 8.6
    return response.status == 204 || response.status == 304;
}
} // namespace

std::string serialize_head(const Response &response) {
    std::string out;
    out.reserve(512);
    out += "HTTP/1.1 " + std::to_string(response.status) + ' ';
    out += reason_phrase(response.status);
    out += "\r\nDate: " + http_date() + "\r\nServer: usher\r\n";
    for (const Field &field : response.headers) out += field.name + ": " + field.value + "\r\n";
    if (!has_no_content(response)) out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    if (response.close) out += "Connection: close\r\n";
    if (response.says_it_stays && !response.close) out += "Connection: keep-alive\r\n";
    return out + "\r\n";
}

bool sends_body(const Response &response, bool to_head) { return !to_head && !has_no_content(response); }

} // namespace usher::gateway
