// The written forms that values have in requests. The type's input function takes more than these, and sometimes means
// something else by it: it drops the offset of a timestamp, and knows a date called "tomorrow". What is documented is
// what is taken.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace usher::http {

enum class Shape : std::uint8_t {
    boolean,
    integer,
    number,
    string, // text, inet, enums, ranges …: whatever the type's input function reads
    uuid,
    date,
    time,
    local_timestamp, // without an offset
    timestamp,       // an instant, with an offset
    duration,
    bytes, // base64
    json,
    object,
    array,
};

/// Says what a text must be when it is not of that form; nullptr when it is. Bytes become what the server reads.
const char *check_form(Shape shape, std::string &text);

} // namespace usher::http
