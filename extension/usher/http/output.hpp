// From what a function returned to the body of the answer, and what else of the answer its columns decide.
#pragma once
#include "usher/http/invoke.hpp"

namespace usher::http {

/// palloc'd, plain.
struct Output {
    char *json = nullptr;    // the body
    char *error = nullptr;   // the result's column "error"
    char *details = nullptr; // beside an error: the columns that are not NULL, as an object
    char *version = nullptr; // of a single row, for the ETag
    std::int64_t retry_after = 0;
    // of a single row, when the tokens go into cookies
    char *access_token = nullptr, *refresh_token = nullptr;
    std::int64_t expires_in = 0;
    std::uint64_t rows = 0;
    char *last_key = nullptr; // of the last row of a page: a JSON array of strings
    bool has_more = false;    // there were more rows than the page holds
    bool is_empty = false;    // no row, or NULL where a document was expected
    bool is_false = false;    // of a function that returns boolean
    bool is_replayed = false; // the result's column "replayed"
};

/// How the columns of a result become members.
struct Style {
    bool is_single;         // `error` and a null `retry_after` are not part of a single row: they steer the answer
    bool to_cookies;        // tokens go into cookies, not into the body
    bool skips_nulls;       // RFC 6749 section 5.1: parameters that do not apply are left out
    std::int64_t page_size; // rows that go into a page; 0: all
};

/// The rows in the form that the function's answers have. Plain frame but for `function`, which it only reads.
Output make_output(const Function &function, ResultRows &rows, const Style &style);

} // namespace usher::http
