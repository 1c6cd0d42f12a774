// The exception that core code throws: it carries everything a PostgreSQL ERROR needs, and nothing of the server.
#pragma once
#include "common/error_codes.hpp"
#include <exception>
#include <string>
#include <string_view>

namespace usher {

/// A refusal with an SQLSTATE. Expected outcomes (a wrong password, say) are results, not exceptions.
class Error : public std::exception {
public:
    /// By the code's entry in error_codes.hpp. `detail` is a JSON object or empty; `hint` a sentence or empty.
    Error(const ErrorCode &code, std::string message, std::string detail = {}, std::string hint = {})
        : Error(code.sqlstate, std::move(message), std::move(detail), std::move(hint)) {}
    /// By a bare five-character SQLSTATE, for PostgreSQL's own codes.
    Error(std::string_view sqlstate, std::string message, std::string detail = {}, std::string hint = {})
        : sqlstate_(sqlstate), message_(std::move(message)), detail_(std::move(detail)), hint_(std::move(hint)) {}

    [[nodiscard]] const char *what() const noexcept override { return message_.c_str(); }
    [[nodiscard]] const std::string &sqlstate() const noexcept { return sqlstate_; }
    [[nodiscard]] const std::string &detail() const noexcept { return detail_; }
    [[nodiscard]] const std::string &hint() const noexcept { return hint_; }

private:
    std::string sqlstate_, message_, detail_, hint_;
};

} // namespace usher
