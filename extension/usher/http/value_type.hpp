// What the values of a type look like in JSON, down to the columns of rows and the elements of arrays.
#pragma once
#include "pg/pg.hpp"
#include "usher/http/value_forms.hpp"

namespace usher::http {

struct ValueField;

struct ValueType {
    Oid type = InvalidOid;         // as declared
    Shape shape = Shape::string;   // of what a domain is made of
    std::int64_t min = 0, max = 0; // of an integer
    bool is_domain = false;
    std::string name;                // for messages: "uuid", "timestamp with time zone"
    std::vector<ValueField> fields;  // of an object: its columns, without those that were dropped
    std::vector<ValueType> elements; // of an array: one
};

struct ValueField {
    std::string name;
    ValueType value;
};

/// Throws 22023, with the reason, for pseudo-types.
ValueType describe_type(Oid type);

/// A value from a request, as text to be read by its type's input function.
struct Given {
    bool is_null = false;
    std::string text;
    std::vector<Given> parts; // the elements of an array; the fields of an object, in the order of its type's
};

/// Where reading has got to, for the message when it fails. Plain data: it outlives an ERROR.
struct Reading {
    struct Step {
        const std::string *field; // of a row, or nullptr:
        std::size_t element;      // of an array
    };
    static constexpr std::size_t max_depth = 32;
    std::array<Step, max_depth> path{}; // from the outside
    std::size_t depth = 0;
    const ValueType *type = nullptr;
};

/// The value, in the current memory context. Plain frame: an invalid text is an ERROR.
Datum to_datum(const ValueType &type, const Given &given, Reading &reading);

} // namespace usher::http
