// Plans that outlive the statement that made them.
#pragma once
#include "pg/guard.hpp"
#include <map>
#include <memory>
#include <span>

namespace usher::pg {

/// Prepares a statement for the life of the backend. Inside SPI_connect; plain frame: an ERROR jumps.
SPIPlanPtr prepare_kept(const char *sql, std::span<const Oid> types);

/// Whoever runs a plan holds it: what runs may ask for others, and so make this one give way.
using Plan = std::shared_ptr<_SPI_plan>;
/// Connects to SPI by itself.
Plan make_plan(const std::string &sql, std::span<const Oid> types);

/// The plans of statements whose text is made at run time, by what tells them apart. Above `most` the one that was not
/// used for longest gives way.
template <class Key> class KeptPlans {
public:
    explicit KeptPlans(std::size_t most) : most_(most) {}

    /// `make` returns a Plan; it is called when none is kept.
    template <class F> Plan find(const Key &key, const F &make) {
        ++uses_;
        if (const auto found = plans_.find(key); found != plans_.end()) {
            found->second.used = uses_;
            return found->second.plan;
        }
        Plan plan = make(); // may ERROR, or ask for plans itself: nothing is changed before
        if (plans_.size() >= most_)
            plans_.erase(std::min_element(plans_.begin(), plans_.end(),
                                          [](const auto &a, const auto &b) { return a.second.used < b.second.used; }));
        plans_.insert_or_assign(key, Kept{plan, uses_});
        return plan;
    }

private:
    struct Kept {
        Plan plan;
        std::uint64_t used;
    };
    std::size_t most_;
    std::uint64_t uses_ = 0;
    std::map<Key, Kept> plans_;
};

} // namespace usher::pg
