#include "usher_payment/settlement/settlement.hpp"
#include <array>

namespace usher::payment {

namespace {
constexpr std::array<std::string_view, 5> outcomes{"requested", "superseded", "unknown", "declined", "succeeded"};
constexpr std::array<std::string_view, 5> statuses{"pending", "processing", "completed", "failed", "refunded"};
constexpr std::array<std::string_view, 5> refund_statuses{"pending", "processing", "succeeded", "failed", "cancelled"};

template <class E>
std::optional<E> parse(const std::array<std::string_view, 5> &names, std::string_view text) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == text) return static_cast<E>(i);
    return std::nullopt;
}
} // namespace

std::string_view name_of(Outcome outcome) noexcept { return outcomes[static_cast<std::size_t>(outcome)]; }
std::optional<Outcome> parse_outcome(std::string_view text) noexcept { return parse<Outcome>(outcomes, text); }
std::optional<Status> parse_status(std::string_view text) noexcept { return parse<Status>(statuses, text); }
std::optional<RefundStatus> parse_refund_status(std::string_view text) noexcept {
    return parse<RefundStatus>(refund_statuses, text);
}

Step decide(Outcome attempt, Status transaction, Outcome reported) noexcept {
    if (attempt == Outcome::succeeded || attempt == Outcome::superseded) return Step::none;
    switch (reported) {
    case Outcome::unknown: return attempt == Outcome::requested ? Step::wait : Step::none;
    case Outcome::declined: return is_live(attempt) ? Step::decline : Step::none;
    case Outcome::succeeded: break;
    default: return Step::none;
    }
    switch (transaction) {
    case Status::processing: return is_live(attempt) ? Step::capture : Step::capture_late;
    case Status::failed: return Step::capture_late;
    default: return Step::give_back;
    }
}

bool may_follow(Outcome from, Outcome to) noexcept {
    if (from == to) return true;
    switch (from) {
    case Outcome::requested:
    case Outcome::unknown: return true; // unknown ones are asked for again, with the same key
    case Outcome::declined: return to == Outcome::succeeded || to == Outcome::superseded;
    default: return false;
    }
}

RefundStep decide_refund(RefundStatus refund, Outcome reported) noexcept {
    const bool is_open = refund == RefundStatus::pending || refund == RefundStatus::processing;
    switch (reported) {
    case Outcome::unknown: return is_open ? RefundStep::keep : RefundStep::none;
    case Outcome::declined:
        if (is_open) return RefundStep::fail;
        return refund == RefundStatus::succeeded ? RefundStep::contradict : RefundStep::none;
    case Outcome::succeeded:
        if (is_open) return RefundStep::succeed;
        return refund == RefundStatus::succeeded ? RefundStep::none : RefundStep::succeed_late;
    default: return RefundStep::none;
    }
}

} // namespace usher::payment
