// Which requests a standby may answer: those whose route the database has marked read-only.
#pragma once
#include "database.hpp"
#include "usher/http/route.hpp"
#include <condition_variable>
#include <memory>
#include <thread>

namespace usher::gateway {

/// Asks usher.list_routes() now and then, from a thread of its own.
class ReadRoutes {
public:
    ReadRoutes(const Config &config, BackOff &back_off, Metrics &metrics);
    ~ReadRoutes();
    /// path: as sent. False until the routes are known.
    bool contains(std::string_view method, std::string_view path) const;

private:
    void watch();
    void refresh();

    Database database_;
    mutable std::mutex mutex_; // guards what follows
    std::condition_variable wake_;
    bool stopping_ = false;
    std::shared_ptr<const route::Table> table_;
    std::thread thread_;
};

} // namespace usher::gateway
