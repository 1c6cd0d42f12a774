// How long to wait for the locks of others.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

/// While it lives, waiting for a lock ends after so many milliseconds with an ERROR (55P03): lock_timeout, unless that
/// is shorter already. For work that can be done later just as well.
class LockPatience {
public:
    explicit LockPatience(int milliseconds);
    ~LockPatience() { AtEOXact_GUC(false, level_); }
    LockPatience(const LockPatience &) = delete;
    LockPatience &operator=(const LockPatience &) = delete;

private:
    int level_;
};

} // namespace usher::pg
