#include "courier/request_sender.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>
#include <charconv>
#include <cstring>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace usher::courier {

namespace {

constexpr std::size_t most_headers = 100;
constexpr std::size_t longest_head = 32768;

struct Transfer {
    const OutgoingRequest *request;
    const std::atomic<bool> *stop;
    RequestOutcome outcome;
    std::size_t head_bytes = 0;
    bool was_refused = false; // an address that it must not reach
    bool was_too_large = false;
};

// The address itself, after all names have been resolved and however the URL wrote it. What connects here is what was
// looked at: a name that resolves to another address the next time has no second chance.
curl_socket_t open_checked(void *user, curlsocktype purpose, curl_sockaddr *target) {
    auto &transfer = *static_cast<Transfer *>(user);
    IpAddress address;
    bool is_known = false;
    if (purpose == CURLSOCKTYPE_IPCXN && target->family == AF_INET) {
        const auto *ipv4 = reinterpret_cast<const sockaddr_in *>(&target->addr);
        address.bytes[10] = address.bytes[11] = 0xff;
        std::memcpy(address.bytes.data() + 12, &ipv4->sin_addr, 4);
        is_known = true;
    } else if (purpose == CURLSOCKTYPE_IPCXN && target->family == AF_INET6) {
        const auto *ipv6 = reinterpret_cast<const sockaddr_in6 *>(&target->addr);
        std::memcpy(address.bytes.data(), &ipv6->sin6_addr, 16);
        // An IPv4 address in the clothes of IPv6 is nobody's honest address.
        is_known = IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr) == 0;
    }
    if (!is_known || !may_reach(address, transfer.request->allowed)) {
        transfer.was_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(target->family, target->socktype | SOCK_CLOEXEC, target->protocol);
}

std::size_t take_body(char *data, std::size_t size, std::size_t count, void *user) {
    auto &transfer = *static_cast<Transfer *>(user);
    const std::size_t bytes = size * count;
    if (transfer.outcome.body.size() + bytes > transfer.request->max_bytes) {
        transfer.was_too_large = true;
        return 0;
    }
    transfer.outcome.body.append(data, bytes);
    return bytes;
}

std::size_t take_header(char *data, std::size_t size, std::size_t count, void *user) {
    auto &transfer = *static_cast<Transfer *>(user);
    const std::size_t bytes = size * count;
    std::string_view line(data, bytes);
    transfer.head_bytes += bytes;
    if (transfer.head_bytes > longest_head || transfer.outcome.headers.size() > most_headers) {
        transfer.was_too_large = true;
        return 0;
    }
    if (line.starts_with("HTTP/")) { // of 100 Continue, say, and then of the answer
        transfer.outcome.headers.clear();
        return bytes;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return bytes;
    std::string name(line.substr(0, colon));
    for (char &c : name) c = to_lower(c);
    const std::string_view value = trim(line.substr(colon + 1));
    if (is_valid_utf8(name) && is_valid_utf8(value)) transfer.outcome.headers.emplace_back(name, value);
    return bytes;
}

int keep_requesting(void *user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer *>(user)->stop->load() ? 1 : 0;
}

const char *reason_for(CURLcode result, const Transfer &transfer) {
    if (transfer.was_refused) return "address_refused";
    if (transfer.was_too_large) return "answer_too_large";
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_COULDNT_RESOLVE_HOST: return "name_not_resolved";
    case CURLE_URL_MALFORMAT: return "url_refused";
    case CURLE_UNSUPPORTED_PROTOCOL: // that of the URL, or what the receiver speaks is not HTTP
        return equal_ignoring_case(std::string_view(transfer.request->url).substr(0, 4), "http") ? "connection_lost"
                                                                                                 : "url_refused";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE: return "tls_failed";
    case CURLE_COULDNT_CONNECT: return "not_connected";
    case CURLE_FILESIZE_EXCEEDED: return "answer_too_large";
    case CURLE_ABORTED_BY_CALLBACK: return "stopped";
    default: return "connection_lost";
    }
}

// Seconds, or a date (RFC 9110 section 10.2.3).
std::optional<long> seconds_until(const std::string &value) {
    long seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error != std::errc{} || end != value.data() + value.size()) {
        const std::time_t date = curl_getdate(value.c_str(), nullptr);
        if (date == -1) return std::nullopt;
        seconds = static_cast<long>(date - std::time(nullptr));
    }
    return std::clamp(seconds, 0L, 86400L);
}

bool is_header_name(std::string_view name) {
    return !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [](char c) {
        return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

// Fields that would change how the request is framed or where it goes.
bool is_own_header(std::string_view name) {
    for (const std::string_view each : {"host", "content-length", "transfer-encoding", "connection", "expect", "te",
                                        "upgrade", "trailer", "keep-alive", "proxy-authorization"})
        if (equal_ignoring_case(name, each)) return true;
    return false;
}

} // namespace

struct RequestSender::State {
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{nullptr, &curl_easy_cleanup};
    std::vector<IpNetwork> allowed;
};

RequestSender::RequestSender(const CourierConfig &config) : config_(config), state_(std::make_unique<State>()) {}
RequestSender::~RequestSender() = default;

RequestOutcome RequestSender::send(const OutgoingRequest &request, const std::atomic<bool> &stop) {
    const auto is_same = [](const IpNetwork &a, const IpNetwork &b) {
        return a.prefix_bits == b.prefix_bits && a.base.bytes == b.base.bytes;
    };
    // A connection that is kept was made under the rules of its time.
    if (state_->handle == nullptr || !std::equal(request.allowed.begin(), request.allowed.end(),
                                                 state_->allowed.begin(), state_->allowed.end(), is_same)) {
        state_->handle.reset(curl_easy_init());
        state_->allowed = request.allowed;
        if (state_->handle == nullptr) throw std::bad_alloc{};
    }
    CURL *handle = state_->handle.get();
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> fields(nullptr, &curl_slist_free_all);
    const auto add_field = [&](const std::string &line) {
        curl_slist *list = curl_slist_append(fields.get(), line.c_str());
        if (list == nullptr) throw std::bad_alloc{};
        (void)fields.release();
        fields.reset(list);
    };
    for (const auto &[name, value] : request.headers) {
        const bool is_good =
            is_header_name(name) && !is_own_header(name) &&
            std::none_of(value.begin(), value.end(), [](char c) { return is_control(c) && c != '\t'; });
        if (!is_good) return {0, "header_refused", {}, "", std::nullopt};
        add_field(value.empty() ? name + ';' : name + ": " + value);
    }
    add_field("Expect:");
    // libcurl would call a body of unknown type a form
    if (std::none_of(request.headers.begin(), request.headers.end(),
                     [](const auto &each) { return equal_ignoring_case(each.first, "content-type"); }))
        add_field("Content-Type:");

    Transfer transfer{&request, &stop, {}, 0, false, false};
    curl_easy_reset(handle); // its connections stay
    curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_PROXY, ""); // not even one of the environment
    curl_easy_setopt(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(handle, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_checked);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    if (!config_.tls_ca.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, config_.tls_ca.c_str());
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, request.timeout_ms);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                     std::min(request.timeout_ms, static_cast<long>(config_.request_connect_timeout_ms)));
    curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(request.max_bytes));
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "usher-courier/" USHER_VERSION);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, fields.get());
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method == "HEAD") curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    }
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, keep_requesting);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    const CURLcode result = curl_easy_perform(handle);
    if (result != CURLE_OK) return {0, reason_for(result, transfer), {}, "", std::nullopt};
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    RequestOutcome outcome = std::move(transfer.outcome);
    outcome.status = static_cast<int>(status);
    for (const auto &[name, value] : outcome.headers)
        if (name == "retry-after") outcome.retry_after_s = seconds_until(value);
    return outcome;
}

} // namespace usher::courier
