#include "usher_payment/settlement/settling.hpp"

namespace usher::payment {

namespace {
constinit const Settling *innermost = nullptr;
} // namespace

Settling::Settling(const Uuid &transaction) : outer_(innermost), transaction_(transaction) { innermost = this; }
Settling::~Settling() { innermost = outer_; }

bool Settling::runs_for(const Uuid &transaction) {
    return innermost != nullptr && innermost->transaction_ == transaction;
}

} // namespace usher::payment
