// Answers that say no: problem documents (RFC 9457), and what each SQLSTATE means for HTTP.
#pragma once
#include "common/error_codes.hpp"
#include "pg/subxact.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::http {

struct FieldError {
    std::string field;
    std::string_view in;   // "path", "query", "body" or "header"
    std::string_view code; // "missing", "unknown", "invalid" or "repeated"
    std::string detail;
};

struct Problem {
    int status = 500;
    std::string code;
    std::string title;              // one per code
    std::string detail;             // of this occurrence, or empty
    std::string extra;              // a JSON object with details for programs, or empty
    std::vector<FieldError> errors; // of arguments
    std::int64_t retry_after = 0;   // seconds; 0: none
    bool challenge = false;         // with WWW-Authenticate
    bool is_fault = false;          // ours, not the client's: belongs into the server log
};

/// By code; `detail` may be empty.
Problem problem(const ErrorCode &code, std::string detail = {});

/// What an ERROR means for the client. Text of our own error codes is passed on; that of the server's is not, it may
/// name tables or show values. in_recovery: this server is a standby, or not yet a primary.
Problem problem_of(std::string_view sqlstate, std::string_view message, std::string_view detail, bool has_identity,
                   bool in_recovery);

/// The document.
std::string to_json(const Problem &problem, std::string_view instance, std::string_view correlation_id);

} // namespace usher::http
