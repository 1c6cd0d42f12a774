// Whether a transition may be made now, by whoever asks.
#pragma once
#include "usher/machines/attachment.hpp"
#include "usher/machines/machine.hpp"

namespace usher::machines {

/// The row that changes: as it was (nullptr when it is being created) and as it is to be.
struct Change {
    const Attachment *attachment;
    TupleDesc desc;
    HeapTuple before;
    HeapTuple after;
};

/// Why a transition is refused; empty rule when it is allowed.
struct Refused {
    std::string rule; // permission, guard, reason
    std::string what; // "permission booking:confirm is missing"
    explicit operator bool() const { return !rule.empty(); }
};

/// Tries permission, guard and reason, in this order. Without `with_reason` a missing reason is no refusal: it can
/// still be given.
Refused conditions(const machine::Transition &transition, const Change &change, bool with_reason = true);

/// Oid of a guard with its result type; throws 55000 when there is no such function, or one that returns something
/// else.
struct Guard {
    Oid function, result;
};
Guard find_guard(std::string_view signature);

/// Columns of the transition that differ between the two rows.
bool changes_columns(const machine::Transition &transition, const Change &change);

} // namespace usher::machines
