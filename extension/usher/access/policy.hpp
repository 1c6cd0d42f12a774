// Policy models in Casbin's format (request, policy, role, effect and matcher definitions) and the decision over policy
// rows.
//
// The cost of a decision does not grow with the number of rows: what the matcher demands by == or by a role function is
// handed to the store, which fetches the rows that can match through an index; only those are looked at one by one.
#pragma once
#include "common/expression.hpp"
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher::policy {

inline constexpr std::size_t max_columns = 6;  // v0 to v5
inline constexpr std::size_t max_request = 32; // parts of a request
inline constexpr std::size_t max_value = 256;  // bytes of one of them
inline constexpr std::size_t max_part = 65536; // bytes of a part of a request

enum class Combine : std::uint8_t {
    allow_overrides,   // some(where (p.eft == allow))
    deny_overrides,    // !some(where (p.eft == deny))
    allow_and_no_deny, // some(where (p.eft == allow)) && !some(where (p.eft == deny))
    priority,          // priority(p.eft) || deny: the first row that matches decides
    subject_priority,  // subjectPriority(p.eft) || deny: the row nearest to the subject decides
};

/// A role function: g, g2 …
struct Roles {
    std::size_t places = 2; // its arguments; what a row has beyond them is not read
    std::string domains;    // the function by which the domain of a row is a pattern of others; empty: it is itself
};

struct Model {
    std::string row_type = "p", request_type = "r"; // as expressions name them, and the rows' ptype
    std::vector<std::string> request;               // names of r: sub, obj, act …
    std::vector<std::string> policy;                // names of p, in the order of v0 … v5
    std::map<std::string, Roles> roles;
    Combine combine = Combine::allow_overrides;
    expression::Node matcher;

    [[nodiscard]] std::optional<std::size_t> request_index(std::string_view name) const;
    [[nodiscard]] std::optional<std::size_t> policy_index(std::string_view name) const;
};

/// Throws 22023 when an expression uses a name or calls a function that the model does not have, or passes a function a
/// wrong number of arguments. Whatever is evaluated was checked: the matcher when the model is read, the rules of
/// eval() before their first use. `what`: which expression it is, for the message.
void check_expression(const Model &model, const expression::Node &node, const char *what);

/// Reads a model: the text of a Casbin .conf file, or a JSON object {"r": "sub, obj, act", "p": …, "g": "_, _", "e": …,
/// "m": …}. Throws 22023 saying what is wrong with it. `context`: "2" for r2, p2, e2 and m2, of which all four must be
/// there; empty for those without a number.
Model parse_model(std::string_view text, std::string_view context = {});
/// Reads a model with every context that it has, to find what is wrong with any of them.
void check_model(std::string_view text);

using Columns = std::array<std::string, max_columns>; // empty text for a missing value

/// What the rows must have in some columns. No constraint at all: every row.
struct Constraint {
    std::size_t column;
    std::vector<std::string> any_of;
};

/// Where the rows are.
class Store {
public:
    virtual ~Store() = default;
    /// The rows of a ptype (p, p2 …) that meet all constraints, in the order in which they were added.
    virtual std::vector<Columns> rows(std::string_view ptype, const std::vector<Constraint> &constraints) = 0;
    /// Is there any row of this ptype?
    virtual bool has_rows(std::string_view ptype) = 0;
    /// `member` and all groups above it, nearest first, by the rows of `ptype`
    /// (g, g2 …) in one of the domains; nothing: whatever the domain.
    virtual std::vector<std::string> groups(std::string_view ptype, const std::string &member,
                                            const std::optional<std::vector<std::string>> &domains) = 0;
    /// All domains that rows of `ptype` have.
    virtual std::vector<std::string> domains(std::string_view ptype) = 0;
    /// Does the regular expression match somewhere in the text?
    virtual bool regex_match(std::string_view text, const std::string &pattern) = 0;
    /// Called during long work: throws when it is to end (see common/poll.hpp).
    virtual void poll() {}
};

/// Does the text match the pattern by one of the matching functions, keyMatch or globMatch say?
bool match_by(const std::string &function, const std::string &text, const std::string &pattern, Store &store);

/// May the request pass? `request` has one text per name of r; texts that are JSON objects give attributes (r.sub.age).
bool enforce(const Model &model, const std::vector<std::string> &request, Store &store);

} // namespace usher::policy
