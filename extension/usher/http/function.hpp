// What the dispatcher must know of a routed SQL function.
#pragma once
#include "usher/http/value_type.hpp"
#include <memory>

namespace usher::http {

inline constexpr std::size_t max_arguments = 64;

struct Argument {
    std::string name;
    ValueType value;
    const Expr *default_value = nullptr; // as it was written; in the function's memory
    [[nodiscard]] bool has_default() const { return default_value != nullptr; }
};

/// file: the body as it is, of the media type that the result's domain is named after, such as "text/calendar".
enum class Result : std::uint8_t { nothing, document, file, scalar, row, rows };

/// One part of the key by which a list goes on: the argument, and the result column that it continues from.
struct PageKey {
    std::size_t argument; // place in Function::arguments
    std::string column;
};

/// What the catalog says now. What it says of columns, defaults and volatility may change while the Oid stays.
struct Function {
    Oid oid;
    std::string name; // quoted and with its schema
    std::vector<Argument> arguments;
    Result result;
    std::string media_type; // of a file
    bool is_named_column;   // scalar results whose one column has a name: treated as a row
    bool is_type_of_row;    // one row of a table or another named type: it was not found when all of it is NULL
    bool is_volatile;
    /// A set with the arguments max_rows and after (or after_<column>) is handed out in pages, unless the function has
    /// an argument "cursor" of its own. Empty: it is not.
    std::vector<PageKey> page;
    std::int64_t default_page_size; // the default of max_rows; 0: the function does not say
    bool shows_secrets;             // a column of the result is a token or the like: answers are never stored
    std::unique_ptr<MemoryContextData, decltype(&MemoryContextDelete)> memory{nullptr, MemoryContextDelete};

    [[nodiscard]] const Argument *find(std::string_view argument) const;
};

/// Looks the function up. Throws 22023, with the reason, for functions that cannot be routed: procedures and
/// aggregates, unnamed, VARIADIC or polymorphic arguments, more than 64 of them, results of type record without
/// columns.
Function describe(Oid function);

} // namespace usher::http
