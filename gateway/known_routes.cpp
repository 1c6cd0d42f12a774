#include "known_routes.hpp"
#include "log.hpp"
#include <nlohmann/json.hpp>

namespace usher::gateway {

using namespace std::chrono_literals;

namespace {
// All of them, or a request would be taken for one of a route that the database does not choose. Those with a rate
// limit are not for standbys: their hits are counted where they are written.
constexpr const char *question =
    "SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(r.method, r.path_template, "
    "r.method = 'GET' AND r.read_only AND r.rate_limit IS NULL, r.is_costly)), '[]')::pg_catalog.text "
    "FROM usher.list_routes() r WHERE r.is_available";

// A route's number in the table: its traits.
constexpr std::size_t for_standby = 1, costly = 2;

bool is_reading(std::string_view method) { return method == "GET" || method == "HEAD"; }
} // namespace

KnownRoutes::KnownRoutes(const Config &config, BackOff &back_off, Metrics &metrics)
    : database_(config, config.database, back_off, metrics), thread_([this] { watch(); }) {}

KnownRoutes::~KnownRoutes() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

void KnownRoutes::watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        lock.unlock();
        const Answer answer = refresh();
        lock.lock();
        if (answer != Answer::none && answer_ != Answer::known) answer_ = answer;
        wake_.wait_for(lock, answer_ == Answer::none ? 250ms : 5000ms, [this] { return stopping_; });
    }
}

KnownRoutes::Answer KnownRoutes::refresh() {
    if (!database_.ensure_connected()) return Answer::none;
    const Outcome outcome = database_.run("usher_known_routes", question, {}, -1);
    if (outcome.kind != Outcome::Kind::row || outcome.row.empty() || !outcome.row[0]) {
        log(Level::warning, "known_routes_failed", {{"sqlstate", outcome.sqlstate}});
        return Answer::refused;
    }
    const auto routes = nlohmann::json::parse(*outcome.row[0], nullptr, false);
    if (!routes.is_array()) return Answer::refused;
    auto fresh = std::make_shared<route::Table>();
    for (const auto &route : routes) {
        std::string error;
        const auto path = route::parse_template(route.at(1).get<std::string>(), error);
        if (!path) continue;
        const std::size_t traits = (route.at(2).get<bool>() ? for_standby : 0) | (route.at(3).get<bool>() ? costly : 0);
        fresh->add(route.at(0).get<std::string>(), *path, traits);
    }
    const std::lock_guard lock(mutex_);
    table_ = std::move(fresh);
    return Answer::known;
}

RouteTraits KnownRoutes::find(std::string_view method, std::string_view path) const {
    std::shared_ptr<const route::Table> table;
    {
        const std::lock_guard lock(mutex_);
        if (answer_ == Answer::none) return {false, !is_reading(method)};
        table = table_;
    }
    const auto segments = table != nullptr ? route::split_path(path) : std::nullopt;
    if (!segments) return {};
    const std::size_t traits = table->find(method == "HEAD" ? "GET" : method, *segments).route.value_or(0);
    return {(traits & for_standby) != 0, (traits & costly) != 0};
}

} // namespace usher::gateway
