// Noticing that data behind a backend-local cache has changed, in any backend, on standbys too.
//
// Each cache has an empty table `usher.<cache>_inval`. Triggers on the tables that the cache is read from, made by
// usher._announce_changes(), call usher._invalidate_cache(), which announces a relcache invalidation of it. PostgreSQL
// delivers it with the commit (not at all after a rollback), to every backend and, through WAL, to every standby.
//
// Of a cache with an entry for each user, say, that would empty all of it whenever one of them changes. There row
// triggers call usher._invalidate_entry() instead.
#pragma once
#include "common/types.hpp"
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

protected:
    /// All that is cached may be out of date.
    void forget_all() noexcept;

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

/// Takes in what is announced about single entries of a cache, too. What reaches a backend of a key are 32 bits, its
/// tag: another entry may share it and be dropped as well; none stays that has changed. Make it `static constinit`.
class EntryInvalidation : public Invalidation {
public:
    constexpr explicit EntryInvalidation(const char *table) : Invalidation(table), name_(table) {}

    /// Takes in pending announcements and returns the generation of the whole. Never 0.
    std::uint64_t generation();
    [[nodiscard]] std::uint32_t tag(const Uuid &key) const;
    /// Calls `drop` with the tags that were announced since the last time. When they were too many to remember, the
    /// generation has moved instead. Asked after generation(), and before what is found in the cache is believed.
    template <class F> void drain(const F &drop) {
        while (told_ > 0) drop(tags_[--told_]);
    }
    /// Tells every backend and standby, with the commit. Plain frame.
    static void announce(const char *table, const pg_uuid_t &key);

private:
    static void on_entry_change(std::uint32_t tag) noexcept;
    void watch_entries();
    const char *name_;
    EntryInvalidation *next_ = nullptr;
    bool watching_ = false;
    std::size_t told_ = 0;
    std::array<std::uint32_t, 256> tags_{};
};

/// Counts what this backend has been told about any relation (definitions, indexes, triggers, statistics) or function.
/// What was read about a relation while it was locked is good as long as this stays the same. Plain frame.
std::uint64_t relation_changes();

} // namespace usher::pg
