#include "pg/shared.hpp"

namespace usher::pg {

namespace {
constexpr const char *tranche = "usher";
constinit SharedMapBase *first = nullptr; // all maps, linked while the library is loaded
constinit bool ready = false;
shmem_request_hook_type next_request = nullptr;
shmem_startup_hook_type next_startup = nullptr;
} // namespace

bool is_preloaded() { return ready; }

SharedMapBase::SharedMapBase(const char *name, long capacity, std::size_t key_size, std::size_t entry_size)
    : name_(name), capacity_(capacity), key_size_(key_size), entry_size_(entry_size), next_(first) {
    first = this;
}

struct SharedMemoryHooks {
    static void request() {
        if (next_request != nullptr) next_request();
        int count = 0;
        for (const SharedMapBase *map = first; map != nullptr; map = map->next_, ++count)
            RequestAddinShmemSpace(hash_estimate_size(map->capacity_, map->entry_size_));
        RequestNamedLWLockTranche(tranche, count);
    }

    // Runs in the postmaster, and again in each backend where processes do not inherit memory.
    static void startup() {
        if (next_startup != nullptr) next_startup();
        LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
        LWLockPadded *lock = GetNamedLWLockTranche(tranche);
        for (SharedMapBase *map = first; map != nullptr; map = map->next_, ++lock) {
            HASHCTL control{};
            control.keysize = map->key_size_;
            control.entrysize = map->entry_size_;
            map->table_ = make_shared_hash(map->name_, map->capacity_, control, HASH_ELEM | HASH_BLOBS);
            map->lock_ = &lock->lock;
        }
        LWLockRelease(AddinShmemInitLock);
        ready = true;
    }
};

void request_shared_memory() {
    next_request = shmem_request_hook;
    shmem_request_hook = SharedMemoryHooks::request;
    next_startup = shmem_startup_hook;
    shmem_startup_hook = SharedMemoryHooks::startup;
}

void SharedMapBase::lock() const {
    call([&] { LWLockAcquire(lock_, LW_EXCLUSIVE); });
}
void SharedMapBase::unlock() const { LWLockRelease(lock_); }

void *SharedMapBase::find(const void *key) const { return hash_search(table_, key, HASH_FIND, nullptr); }

void *SharedMapBase::find_or_add(const void *key, bool &added) const {
    bool found = false;
    if (void *const entry = hash_search(table_, key, HASH_FIND, &found)) return entry;
    if (hash_get_num_entries(table_) >= capacity_) return nullptr; // the server would take memory that others may need
    added = true;
    return hash_search(table_, key, HASH_ENTER_NULL, &found);
}

void SharedMapBase::remove(const void *key) const { hash_search(table_, key, HASH_REMOVE, nullptr); }

long SharedMapBase::size() const { return hash_get_num_entries(table_); }

void SharedMapBase::for_each(bool (*visit)(void *entry, void *argument), void *argument) const {
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, table_);
    while (void *const entry = hash_seq_search(&scan)) {
        if (visit(entry, argument)) continue;
        hash_seq_term(&scan);
        return;
    }
}

} // namespace usher::pg
