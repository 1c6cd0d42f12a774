// What the report of a processor does to an attempt and its transaction. Reports come late, twice and in any order:
// from the worker that made the call, and from webhooks. Success is final: money has moved. A timeout is not a no.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace usher::payment {

/// Of an attempt; the last three are what can be reported.
enum class Outcome : std::uint8_t {
    requested,  // the call is on its way, or nobody has made it yet
    superseded, // it succeeded after another attempt had: its money stands in a transaction of its own
    unknown,    // the processor did not answer: the same key is used again
    declined,
    succeeded,
};

/// Of a transaction.
enum class Status : std::uint8_t { pending, processing, completed, failed, refunded };

std::string_view name_of(Outcome outcome) noexcept;
std::optional<Outcome> parse_outcome(std::string_view text) noexcept;
std::optional<Status> parse_status(std::string_view text) noexcept;

/// Does an attempt with this outcome stand in the way of another one?
constexpr bool is_live(Outcome outcome) noexcept {
    return outcome == Outcome::requested || outcome == Outcome::unknown;
}

enum class Step : std::uint8_t {
    none,         // known already, or older than what is known
    wait,         // nobody knows: the attempt stays live
    decline,      // the attempt failed, and with it a transaction that waits for it
    capture,      // the transaction is paid
    capture_late, // paid, though it had been given up: by this attempt, or altogether
    give_back,    // paid a second time: the surplus becomes a transaction of its own, and goes back
};

/// `reported`: unknown, declined or succeeded.
Step decide(Outcome attempt, Status transaction, Outcome reported) noexcept;

/// May the outcome of an attempt be changed so, by whomever?
bool may_follow(Outcome from, Outcome to) noexcept;

enum class RefundStatus : std::uint8_t { pending, processing, succeeded, failed, cancelled };
std::optional<RefundStatus> parse_refund_status(std::string_view text) noexcept;

enum class RefundStep : std::uint8_t {
    none,
    keep, // its outcome is unknown: the reservation stays
    succeed,
    succeed_late, // it counted as failed, and its reservation was given back
    fail,
    contradict, // reported as failed after it succeeded: somebody must look
};
RefundStep decide_refund(RefundStatus refund, Outcome reported) noexcept;

} // namespace usher::payment
