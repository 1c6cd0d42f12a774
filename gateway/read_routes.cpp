#include "read_routes.hpp"
#include "log.hpp"
#include <nlohmann/json.hpp>

namespace usher::gateway {

using namespace std::chrono_literals;

// Routes with a rate limit are left out: their hits are counted where they are written.
static constexpr const char *question =
    "SELECT COALESCE(pg_catalog.jsonb_agg(r.path_template), '[]')::pg_catalog.text FROM usher.list_routes() r "
    "WHERE r.method = 'GET' AND r.read_only AND r.rate_limit IS NULL AND r.is_available";

ReadRoutes::ReadRoutes(const Config &config, BackOff &back_off, Metrics &metrics)
    : database_(config, config.database, back_off, metrics) {
    if (!config.standby_database.empty()) thread_ = std::thread([this] { watch(); });
}

ReadRoutes::~ReadRoutes() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void ReadRoutes::watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        lock.unlock();
        refresh();
        lock.lock();
        wake_.wait_for(lock, table_ == nullptr ? 250ms : 5000ms, [this] { return stopping_; });
    }
}

void ReadRoutes::refresh() {
    if (!database_.ensure_connected()) return;
    const Outcome outcome = database_.run("usher_read_routes", question, {}, -1);
    if (outcome.kind != Outcome::Kind::row || outcome.row.empty() || !outcome.row[0]) {
        log(Level::warning, "read_routes_failed", {{"sqlstate", outcome.sqlstate}});
        return;
    }
    const auto templates = nlohmann::json::parse(*outcome.row[0], nullptr, false);
    if (!templates.is_array()) return;
    auto fresh = std::make_shared<route::Table>();
    for (const auto &text : templates) {
        std::string error;
        const auto path = text.is_string() ? route::parse_template(text.get<std::string>(), error) : std::nullopt;
        if (path) fresh->add("GET", *path, 0);
    }
    const std::lock_guard lock(mutex_);
    table_ = std::move(fresh);
}

bool ReadRoutes::contains(std::string_view method, std::string_view path) const {
    if (method != "GET" && method != "HEAD") return false;
    std::shared_ptr<const route::Table> table;
    {
        const std::lock_guard lock(mutex_);
        table = table_;
    }
    if (table == nullptr) return false;
    const auto segments = route::split_path(path);
    return segments && table->find("GET", *segments).route.has_value();
}

} // namespace usher::gateway
