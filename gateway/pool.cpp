#include "pool.hpp"
#include "errors.hpp"
#include <algorithm>

namespace usher::gateway {

Pool::Pool(const Config &config, const std::string &connection, PoolSize size, BackOff &back_off, Metrics &metrics)
    : config_(config), metrics_(metrics), kept_(size.kept), most_costly_(size.most_costly) {
    for (int i = 0; i < size.kept + size.overflow; ++i) {
        databases_.emplace_back(config, connection, back_off, metrics);
        idle_.push_back(&databases_.back());
    }
    metrics_.pool_size += size.kept;
    metrics_.pool_overflow += size.overflow;
}

Pool::Lease Pool::borrow(bool is_costly) {
    std::unique_lock lock(mutex_);
    const auto may_take = [&] { return !idle_.empty() && (!is_costly || costly_ < most_costly_); };
    std::condition_variable &returned = is_costly ? costly_returned_ : returned_;
    ++metrics_.pool_waiting;
    const bool is_there = returned.wait_for(lock, std::chrono::milliseconds(config_.pool_wait_ms), may_take);
    --metrics_.pool_waiting;
    if (!is_there) {
        ++metrics_.pool_timeouts;
        throw Refused{503, "overloaded", "All database connections are busy.", {{"Retry-After", "1"}}};
    }
    if (is_costly) {
        ++costly_;
        ++metrics_.pool_costly_in_use;
    }
    return {*this, take(), is_costly};
}

std::unique_ptr<Pool::Lease> Pool::try_borrow() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    return std::make_unique<Lease>(*this, take(), false);
}

Database &Pool::take() {
    Database &database = *idle_.back();
    idle_.pop_back();
    ++metrics_.pool_in_use;
    return database;
}

void Pool::give_back(Database &database, bool is_costly) {
    {
        const std::lock_guard lock(mutex_);
        // What lies open is at the end. The overflow was for a crowd that has gone: it is closed.
        const auto lies_open = [](const Database *idle) { return idle->is_connected(); };
        if (database.is_connected() && std::count_if(idle_.begin(), idle_.end(), lies_open) >= kept_)
            database.disconnect();
        if (database.is_connected())
            idle_.push_back(&database);
        else
            idle_.insert(idle_.begin(), &database);
        --metrics_.pool_in_use;
        if (is_costly) {
            --costly_;
            --metrics_.pool_costly_in_use;
        }
    }
    returned_.notify_one();
    costly_returned_.notify_one();
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
