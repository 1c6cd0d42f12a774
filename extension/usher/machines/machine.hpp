// Status machines: which status may follow which, under what conditions. A definition is JSON:
//
//     {"initial": ["pending"], "terminal": ["completed", "cancelled"],
//      "transitions": [{"from": "pending", "to": "confirmed", "action": "confirm", "permission": "booking:confirm",
//                       "guard": "wash.may_confirm(jsonb,jsonb)", "requires_reason": false, "event": "confirmed"}]}
//
// `from` may be a list of statuses, or null for the creation of a row. A transition with `from` equal to `to` stands
// for a change of the columns that it names in `columns` while the status stays, such as rescheduling. Several
// transitions may join the same two statuses (a customer cancels, a manager rejects): the first one whose conditions
// hold is taken.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace usher::machine {

/// Number of a status within its machine.
using Status = std::uint16_t;
/// Before a row exists.
inline constexpr Status nowhere = 0xFFFF;

struct Transition {
    Status from = nowhere;
    Status to = nowhere;
    std::string action;
    std::string permission;           // empty: nobody is asked
    std::string guard;                // signature of an SQL function, or empty
    std::string event;                // last part of the event's name, or empty
    std::vector<std::string> columns; // of a transition that keeps the status
    bool requires_reason = false;
};

/// What validate() finds beyond what parse() refuses.
struct Finding {
    std::string rule; // unreachable_status, dead_end, no_way_to_terminal, no_terminal
    std::string status;
    std::string message;
};

class Machine {
public:
    /// Throws Error 22023 that says what is wrong with the definition and where.
    static Machine parse(std::string_view definition);

    /// Number of a status by its name; nothing when the machine does not know it.
    [[nodiscard]] std::optional<Status> find(std::string_view status) const noexcept;
    [[nodiscard]] const std::string &name(Status status) const { return names_[status]; }
    [[nodiscard]] std::span<const std::string> statuses() const noexcept { return names_; }
    /// How many statuses there are; parse() allows fewer than `nowhere`.
    [[nodiscard]] Status count() const noexcept { return static_cast<Status>(names_.size()); }
    [[nodiscard]] bool is_initial(Status status) const noexcept { return initial_[status]; }

    /// Transitions from one status (or `nowhere`) to another, in the order of the definition.
    [[nodiscard]] std::span<const Transition> between(Status from, Status to) const noexcept;
    /// Every transition, sorted by its two statuses, otherwise in the order of the definition.
    [[nodiscard]] std::span<const Transition> transitions() const noexcept { return transitions_; }
    /// Has any transition that keeps the status?
    [[nodiscard]] bool watches_columns() const noexcept { return watches_columns_; }
    /// Names of the statuses that can follow, each once.
    [[nodiscard]] std::vector<std::string_view> targets(Status from) const;

    /// Statuses that can never be reached or never be left.
    [[nodiscard]] std::vector<Finding> validate() const;
    /// A Mermaid state diagram (stateDiagram-v2).
    [[nodiscard]] std::string diagram() const;

private:
    class Reader;
    [[nodiscard]] std::size_t cell(Status from, Status to) const noexcept;
    [[nodiscard]] std::vector<bool> reachable() const;
    [[nodiscard]] std::vector<bool> ends() const;
    void index();

    std::vector<std::string> names_;
    std::vector<bool> initial_, terminal_;
    std::vector<Transition> transitions_;
    std::vector<std::uint32_t> first_; // first transition of each pair of statuses; row 0 is `nowhere`
    bool watches_columns_ = false;
};

/// What an error of the machine tells in its DETAIL, as JSON.
struct Refusal {
    std::string_view relation, id, from, to;
    std::vector<std::string_view> allowed; // statuses that could follow
    std::string_view rule;                 // transition, permission, guard, reason, version
    std::string_view what;                 // the permission, the guard's answer …
};
std::string detail(const Refusal &refusal);

} // namespace usher::machine
