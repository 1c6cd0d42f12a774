// What the gateway must know of a route before it asks the database.
#pragma once
#include "database.hpp"
#include "usher/http/route.hpp"
#include <condition_variable>
#include <memory>
#include <thread>

namespace usher::gateway {

struct RouteTraits {
    bool is_for_standby = false; // read-only: a standby may answer
    bool is_costly = false;      // keeps a processor busy: gets a part of the connections only
};

/// Asks usher.list_routes() now and then, from a thread of its own.
class KnownRoutes {
public:
    KnownRoutes(const Config &config, BackOff &back_off, Metrics &metrics);
    ~KnownRoutes();
    /// path: as sent. Before the first answer of the database, whatever may write counts as costly.
    RouteTraits find(std::string_view method, std::string_view path) const;

private:
    enum class Answer { none, refused, known };
    void watch();
    Answer refresh();

    Database database_;
    mutable std::mutex mutex_; // guards what follows
    std::condition_variable wake_;
    bool stopping_ = false;
    Answer answer_ = Answer::none;
    std::shared_ptr<const route::Table> table_;
    std::thread thread_; // the last one: it uses all of them
};

} // namespace usher::gateway
