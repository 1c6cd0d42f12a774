// What the dispatcher must know of a routed SQL function.
#pragma once
#include "pg/pg.hpp"

namespace usher::http {

/// What a value of an argument looks like in JSON.
enum class Shape : std::uint8_t { boolean, integer, number, string, timestamp, json, object, array };

struct Argument {
    std::string name;
    Oid type; // as declared
    Shape shape;
    Shape element;                 // of an array
    Oid element_type;              // of an array
    std::int64_t min = 0, max = 0; // of an integer, or of an array's integers
    std::string type_name;         // for messages: "uuid", "timestamp with time zone"
    bool has_default;
};

/// file: the body as it is, of the media type that the result's domain is named after, such as "text/calendar".
enum class Result : std::uint8_t { nothing, document, file, scalar, row, rows };

/// One part of the key by which a list goes on: the argument, and the result column that it continues from.
struct PageKey {
    std::size_t argument; // place in Function::arguments
    std::string column;
};

struct Function {
    Oid oid;
    std::string name; // quoted and with its schema
    std::vector<Argument> arguments;
    Result result;
    std::string media_type; // of a file
    bool is_named_column;   // scalar results whose one column has a name: treated as a row
    bool is_volatile;
    /// A set with the arguments max_rows and after (or after_<column>) is handed out in pages, unless the function has
    /// an argument "cursor" of its own. Empty: it is not.
    std::vector<PageKey> page;
    std::int64_t default_page_size; // the default of max_rows; 0: the function does not say
    bool shows_secrets;             // a column of the result is a token or the like: answers are never stored

    [[nodiscard]] const Argument *find(std::string_view argument) const;
};

/// Looks the function up. Throws 22023, with the reason, for functions that cannot be routed: procedures and
/// aggregates, unnamed, VARIADIC or polymorphic arguments, more than 64 of them, results of type record without
/// columns.
Function describe(Oid function);

} // namespace usher::http
