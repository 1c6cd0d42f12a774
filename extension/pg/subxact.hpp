// Going on after an ERROR: the one way is an internal subtransaction.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

/// What rolled a subtransaction back. Text lives in the memory context that was current at the call of attempt().
struct Refusal {
    const ErrorData *error = nullptr; // nullptr: it committed
    explicit operator bool() const { return error != nullptr; }
    /// "23505" and so on.
    [[nodiscard]] std::string sqlstate() const;
};

namespace detail {
struct Outer {
    MemoryContext context;
    ResourceOwner owner;
};
Outer begin_subtransaction();
void release_subtransaction(const Outer &outer);
/// Rolls back and returns a copy of the error that outlives the subtransaction.
Refusal roll_back_subtransaction(const Outer &outer, const Failure &failure);
} // namespace detail

/// Runs f in an internal subtransaction. An ERROR (or exception) rolls back what f did and is returned. A query cancel,
/// a shutdown and errors that end the session are not for the caller to survive: they go on as they came.
template <class F> Refusal attempt(F &&f) {
    const detail::Outer outer = detail::begin_subtransaction();
    Failure failure;
    try {
        f();
        detail::release_subtransaction(outer);
        return {};
    } catch (...) {
        capture(failure);
    }
    return detail::roll_back_subtransaction(outer, failure);
}

} // namespace usher::pg
