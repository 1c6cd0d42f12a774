// One HTTP request to an address that somebody else has chosen: where it may go, and how long and how much it may take.
#pragma once
#include "common/ip_address.hpp"
#include "courier/courier_config.hpp"
#include <atomic>
#include <memory>
#include <optional>

namespace usher::courier {

struct OutgoingRequest {
    std::string method;
    std::string url;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    long timeout_ms = 10000;
    std::size_t max_bytes = 65536; // of the answer's body
    std::vector<IpNetwork> allowed;
};

struct RequestOutcome {
    int status = 0;    // of the answer; 0 when there is none
    std::string error; // why there is none, one of a few words; empty when there is one
    std::vector<std::pair<std::string, std::string>> headers; // names in lower case
    std::string body;
    std::optional<long> retry_after_s;
};

/// Of one thread. Keeps connections for the next request to the same place.
class RequestSender {
public:
    explicit RequestSender(const CourierConfig &config);
    ~RequestSender();
    RequestOutcome send(const OutgoingRequest &request, const std::atomic<bool> &stop);

private:
    struct State;
    const CourierConfig &config_;
    std::unique_ptr<State> state_;
};

} // namespace usher::courier
