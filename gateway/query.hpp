// The one statement: SELECT status, headers, body FROM usher.http_request(…).
#pragma once
#include "connection.hpp"
#include "known_routes.hpp"
#include "pool.hpp"

namespace usher::gateway {

/// Passes a checked request on and returns the database's answer. Throws Refused when there is none.
/// standbys: asked first for what they may answer.
Response call_database(Pool &pool, Pool &standbys, RouteTraits traits, Metrics &metrics, Exchange &exchange);

} // namespace usher::gateway
