#include "pool.hpp"
#include "errors.hpp"
#include <algorithm>

namespace usher::gateway {

Pool::Pool(const Config &config, const std::string &connection, int size, BackOff &back_off, Metrics &metrics)
    : config_(config), metrics_(metrics) {
    for (int i = 0; i < size; ++i) {
        databases_.emplace_back(config, connection, back_off, metrics);
        idle_.push_back(&databases_.back());
    }
    metrics_.pool_size += size;
}

Pool::Lease Pool::borrow() {
    std::unique_lock lock(mutex_);
    if (!returned_.wait_for(lock, std::chrono::milliseconds(config_.pool_wait_ms), [this] { return !idle_.empty(); })) {
        ++metrics_.pool_timeouts;
        throw Refused{503, "overloaded", "All database connections are busy.", {{"Retry-After", "1"}}};
    }
    return {*this, take()};
}

std::unique_ptr<Pool::Lease> Pool::try_borrow() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    return std::make_unique<Lease>(*this, take());
}

Database &Pool::take() {
    Database &database = *idle_.back();
    idle_.pop_back();
    ++metrics_.pool_in_use;
    return database;
}

void Pool::give_back(Database &database) {
    {
        const std::lock_guard lock(mutex_);
        idle_.push_back(&database);
        --metrics_.pool_in_use;
    }
    returned_.notify_one();
}

void Pool::cancel_all() {
    std::vector<Database *> busy;
    {
        const std::lock_guard lock(mutex_);
        for (Database &database : databases_)
            if (std::find(idle_.begin(), idle_.end(), &database) == idle_.end()) busy.push_back(&database);
    }
    for (Database *database : busy) database->cancel_from_outside();
}

} // namespace usher::gateway
