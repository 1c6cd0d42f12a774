// Memory that all backends share. It exists only when the library is preloaded (shared_preload_libraries = 'usher').
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

/// Is there shared memory? Without preload there is none, and features keep their state in tables only.
bool is_preloaded();

/// Asks for all maps' memory; called once, by _PG_init, while the postmaster loads its libraries.
void request_shared_memory();

/// Base of SharedMap: the part that deals with the server. Every map is known from the start of the library.
class SharedMapBase {
public:
    SharedMapBase(const SharedMapBase &) = delete;
    SharedMapBase &operator=(const SharedMapBase &) = delete;

protected:
    SharedMapBase(const char *name, long capacity, std::size_t key_size, std::size_t entry_size);
    void *find(const void *key) const;
    void *find_or_add(const void *key, bool &added) const; // nullptr when the map is full
    void remove(const void *key) const;
    [[nodiscard]] long size() const;
    [[nodiscard]] long capacity() const { return capacity_; }
    /// Calls visit(entry, argument) for each entry until it returns false.
    void for_each(bool (*visit)(void *entry, void *argument), void *argument) const;
    void lock() const;
    void unlock() const;

private:
    friend void request_shared_memory();
    friend struct SharedMemoryHooks;
    const char *name_;
    long capacity_;
    std::size_t key_size_, entry_size_;
    HTAB *table_ = nullptr;
    LWLock *lock_ = nullptr;
    SharedMapBase *next_;
};

/// A hash table in shared memory behind one lock. Entry is plain data whose first member is `Key key`; a new entry is
/// zero but for the key. Make it a namespace-scope object: it must be known before the server asks for memory.
///
///     pg::SharedMap<Key, Entry> attempts{"usher attempts", 65536};
///     attempts.locked([&](auto &map) { if (Entry *e = map.find_or_add(key)) ++e->count; });
///
/// Under the lock only plain memory is touched: no call into the server, nothing that may throw.
template <class Key, class Entry> class SharedMap : SharedMapBase {
    static_assert(std::is_trivially_copyable_v<Entry> && std::has_unique_object_representations_v<Key>,
                  "keys are compared byte by byte");

public:
    SharedMap(const char *name, long capacity) : SharedMapBase(name, capacity, sizeof(Key), sizeof(Entry)) {}

    /// What may be done under the lock.
    class Locked {
    public:
        Entry *find(const Key &key) { return static_cast<Entry *>(map_.SharedMapBase::find(&key)); }
        /// nullptr when the map is full.
        Entry *find_or_add(const Key &key) {
            bool added = false;
            auto *const entry = static_cast<Entry *>(map_.SharedMapBase::find_or_add(&key, added));
            if (added) {
                *entry = Entry{};
                entry->key = key;
            }
            return entry;
        }
        void remove(const Key &key) { map_.SharedMapBase::remove(&key); }
        [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(map_.SharedMapBase::size()); }
        [[nodiscard]] bool is_full() const { return map_.SharedMapBase::size() >= map_.SharedMapBase::capacity(); }
        /// visit(Entry &) returns false to stop. It may remove the entry it is given.
        template <class F> void for_each(F &&visit) {
            map_.SharedMapBase::for_each(
                [](void *entry, void *f) {
                    return (*static_cast<std::remove_reference_t<F> *>(f))(*static_cast<Entry *>(entry));
                },
                &visit);
        }

    private:
        friend class SharedMap;
        explicit Locked(SharedMap &map) : map_(map) {}
        SharedMap &map_;
    };

    template <class F> auto locked(F &&f) {
        const Scope scope(*this);
        Locked view(*this);
        return f(view);
    }

private:
    struct Scope {
        explicit Scope(const SharedMap &map) : map_(map) { map_.lock(); }
        ~Scope() { map_.unlock(); }
        Scope(const Scope &) = delete;
        Scope &operator=(const Scope &) = delete;
        const SharedMap &map_;
    };
};

} // namespace usher::pg
