// Who may write what a payment stands at: nobody but the triggers of attempts, refunds and disputes, whose rows are the
// facts that it follows from.
#pragma once
#include "common/types.hpp"

namespace usher::payment {

/// While one lives, this backend may write status and amounts of that transaction. Errors arrive as exceptions, so it
/// always ends.
class Settling {
public:
    explicit Settling(const Uuid &transaction);
    ~Settling();
    Settling(const Settling &) = delete;
    Settling &operator=(const Settling &) = delete;
    static bool runs_for(const Uuid &transaction);

private:
    const Settling *outer_;
    Uuid transaction_;
};

} // namespace usher::payment
