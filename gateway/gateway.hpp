// The public listener's handler: what every request must fulfil, CORS, and the headers every answer carries.
#pragma once
#include "connection.hpp"
#include "known_routes.hpp"
#include "pages.hpp"
#include "pool.hpp"

namespace usher::gateway {

class Gateway final : public Handler {
public:
    Gateway(const Config &config, Pool &pool, Pool &standbys, const KnownRoutes &known_routes, const Pages &pages,
            Metrics &metrics)
        : config_(config),
          pool_(pool),
          standbys_(standbys),
          known_routes_(known_routes),
          pages_(pages),
          metrics_(metrics) {}
    void begin(Exchange &exchange) override;
    void check_head(const Exchange &exchange) override;
    Response answer(Exchange &exchange) override;
    void complete(const Exchange &exchange, Response &response) override;
    void finished(const Exchange &exchange, const Response &response, bool was_sent) override;

private:
    bool is_allowed_origin(const std::string &origin) const;
    void check_origin(const Request &request) const;
    Response preflight(const Request &request) const;

    const Config &config_;
    Pool &pool_;
    Pool &standbys_;
    const KnownRoutes &known_routes_;
    const Pages &pages_;
    Metrics &metrics_;
};

/// The correlation id of a request: the trace id of a valid traceparent (W3C Trace Context), else a well-formed
/// X-Correlation-Id, else a random one. usher.http_request follows the same rules.
std::string correlation_id_of(const Request &request);

} // namespace usher::gateway
