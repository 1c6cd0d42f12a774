// Noticing that data behind a backend-local cache has changed, in any backend, on standbys too.
//
// Each cache has an empty table `usher.<cache>_inval`. Statement triggers on the tables that the cache is read from
// call usher._invalidate_cache('<cache>_inval'), which announces a relcache invalidation of that table. PostgreSQL
// delivers it with the commit (not at all after a rollback), to every backend and, through WAL, to every standby.
#pragma once
#include "pg/spi.hpp"

namespace usher::pg {

/// Counts the announcements for one `_inval` table. Make it `static constinit`.
///
///     static constinit pg::Invalidation changes{"access_inval"};
///     const auto now = changes.generation();      // takes in what has been announced
///     if (cache.loaded_at != now) { remember now first, read into a new container (Access::latest), swap }
class Invalidation {
public:
    constexpr explicit Invalidation(const char *table) : table_(table) {}
    Invalidation(const Invalidation &) = delete;
    Invalidation &operator=(const Invalidation &) = delete;

    /// Takes in pending announcements and returns the generation. Never 0.
    std::uint64_t generation();
    /// May what is read now be kept? Not in a parallel worker, which cannot take the latest snapshot.
    static bool may_keep() { return !IsParallelWorker(); }
    /// Asks the server to be told. Plain frame.
    static void watch();

private:
    static void on_relcache_change(Datum, Oid relation) noexcept;
    void enroll();
    void resolve();
    const char *table_;
    Oid relation_ = InvalidOid;
    std::uint64_t generation_ = 1;
    Invalidation *next_ = nullptr;
    bool enrolled_ = false;
};

/// Counts what this backend has been told about any relation (definitions, indexes, triggers, statistics) or function.
/// What was read about a relation while it was locked is good as long as this stays the same. Plain frame.
std::uint64_t relation_changes();

} // namespace usher::pg
