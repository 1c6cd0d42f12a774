// What has to be known about a table before rows go into it, kept from statement to statement for as long as nothing is
// announced about any relation: finding it out anew costs more than writing a row.
//
// Plain data and plain frames: call it inside pg::call.
#pragma once
#include "pg/cache.hpp"

namespace usher::pg {

/// The beginning of every such target, which lies in its own memory context.
struct PooledTarget {
    Oid table;
    std::uint64_t changes; // relation_changes() before anything was read
    MemoryContext memory;
};

/// Holds the targets that no statement uses. One that is taken belongs to the transaction: after an ERROR the server
/// cleans it up. Whoever asks for the same table in between gets another.
template <class Target, std::size_t places> class TargetPool {
public:
    constexpr explicit TargetPool(const char *name) : name_(name) {}

    /// nullptr when there is none that is still right.
    Target *take(Oid table) {
        for (Target *&place : kept_) {
            if (place == nullptr || place->table != table) continue;
            Target *const found = std::exchange(place, nullptr);
            if (found->changes == relation_changes()) {
                MemoryContextSetParent(found->memory, CurTransactionContext);
                return found;
            }
            MemoryContextDelete(found->memory);
            return nullptr;
        }
        return nullptr;
    }

    /// A new one. `fill` runs in the target's memory.
    template <class F> Target *make(Oid table, const F &fill) {
        const std::uint64_t changes = relation_changes();
        MemoryContext const memory = AllocSetContextCreateInternal(CurTransactionContext, name_, ALLOCSET_SMALL_SIZES);
        MemoryContext const caller = MemoryContextSwitchTo(memory);
        auto *const made = static_cast<Target *>(palloc0(sizeof(Target)));
        made->table = table;
        made->changes = changes;
        made->memory = memory;
        fill(*made);
        MemoryContextSwitchTo(caller);
        return made;
    }

    /// With the end of the statement. When there is no place, the targets make room in turn.
    void keep(Target *target) {
        Target **place = nullptr;
        for (Target *&each : kept_)
            if (each == nullptr ? place == nullptr : each->table == target->table) place = &each;
        if (place == nullptr) place = &kept_[next_++ % places];
        if (Target *const old = std::exchange(*place, nullptr)) MemoryContextDelete(old->memory);
        MemoryContextSetParent(target->memory, CacheMemoryContext);
        *place = target;
    }

private:
    const char *name_; // of the memory contexts
    std::array<Target *, places> kept_{};
    std::size_t next_ = 0;
};

} // namespace usher::pg
