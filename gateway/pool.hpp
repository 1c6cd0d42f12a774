// Database connections, lent to one request at a time, with a bounded wait: some are kept open, more are opened while
// all of these are busy. Requests that keep a processor busy (logins hash) get a part of them only: however many come,
// the others find a connection.
#pragma once
#include "database.hpp"
#include <condition_variable>
#include <deque>

namespace usher::gateway {

struct PoolSize {
    int kept = 0;        // connections that stay open
    int overflow = 0;    // more of them while all are busy
    int most_costly = 0; // how many costly requests may have at a time
};

class Pool {
public:
    Pool(const Config &config, const std::string &connection, PoolSize size, BackOff &back_off, Metrics &metrics);

    /// Gives the connection back when it goes away.
    class Lease {
    public:
        Lease(Pool &pool, Database &database, bool is_costly)
            : pool_(pool), database_(database), is_costly_(is_costly) {}
        ~Lease() { pool_.give_back(database_, is_costly_); }
        Lease(const Lease &) = delete;
        Lease &operator=(const Lease &) = delete;
        Database *operator->() { return &database_; }
        Database &operator*() { return database_; }

    private:
        Pool &pool_;
        Database &database_;
        bool is_costly_;
    };

    /// Waits at most pool_wait_ms; then throws Refused (503, Retry-After).
    Lease borrow(bool is_costly);
    /// Without waiting; nothing when all are lent.
    std::unique_ptr<Lease> try_borrow();
    /// Cancels every running statement: the drain's time is over.
    void cancel_all();

private:
    Database &take(); // under the lock, when one is idle
    void give_back(Database &database, bool is_costly);

    const Config &config_;
    Metrics &metrics_;
    std::deque<Database> databases_; // never moves its elements
    std::mutex mutex_;
    std::condition_variable returned_;
    std::condition_variable costly_returned_; // for those whose turn depends on more than an idle connection
    int costly_ = 0;
    const int kept_;
    const int most_costly_;
    std::vector<Database *> idle_; // the last one used is the next one lent: its caches are warm
};

} // namespace usher::gateway
