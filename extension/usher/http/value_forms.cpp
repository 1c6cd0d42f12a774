#include "usher/http/value_forms.hpp"
#include "common/encoding.hpp"
#include "common/text.hpp"
#include <algorithm>

namespace usher::http {

namespace {
/// Takes what has the shape from the front of `text`: d is a digit, x a hexadecimal one, anything else itself.
bool take(std::string_view &text, std::string_view shape) {
    if (text.size() < shape.size()) return false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const char c = text[i];
        if (!(shape[i] == 'd' ? is_digit(c) : shape[i] == 'x' ? hex_value(c) >= 0 : c == shape[i])) return false;
    }
    text.remove_prefix(shape.size());
    return true;
}

std::size_t take_digits(std::string_view &text) {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
}

// RFC 3339 section 5.6; seconds may be left out.
bool take_time(std::string_view &text) {
    if (!take(text, "dd:dd")) return false;
    if (!take(text, ":dd")) return true;
    return !take(text, ".") || take_digits(text) > 0;
}

bool take_date_and_time(std::string_view &text) {
    return take(text, "dddd-dd-dd") && (take(text, "T") || take(text, "t") || take(text, " ")) && take_time(text);
}

bool take_offset(std::string_view &text) {
    if (take(text, "Z") || take(text, "z")) return true;
    if (!take(text, "+dd") && !take(text, "-dd")) return false;
    return take(text, ":dd") || take(text, "dd") || text.empty();
}

// ISO 8601 as the server writes it too: P1Y2M3DT4H5M6.7S, where a number may be negative.
bool is_duration(std::string_view text) {
    if (!take(text, "P")) return false;
    std::string_view units = "YMWD";
    std::size_t parts = 0;
    for (bool in_time = false; !text.empty(); ++parts) {
        if (!in_time && take(text, "T")) {
            in_time = true;
            units = "HMS";
        }
        (void)take(text, "-");
        if (take_digits(text) == 0 || (take(text, ".") && take_digits(text) == 0) || text.empty()) return false;
        const std::size_t unit = units.find(text.front());
        if (unit == std::string_view::npos) return false;
        units.remove_prefix(unit + 1);
        text.remove_prefix(1);
    }
    return parts > 0;
}

// RFC 8259 section 6
bool is_number(std::string_view text) {
    (void)take(text, "-");
    const bool is_zero = text.starts_with('0');
    const std::size_t digits = take_digits(text);
    if (digits == 0 || (is_zero && digits > 1)) return false;
    if (take(text, ".") && take_digits(text) == 0) return false;
    if (take(text, "e") || take(text, "E")) {
        if (!take(text, "+")) (void)take(text, "-");
        if (take_digits(text) == 0) return false;
    }
    return text.empty();
}

template <class F> bool is_all(std::string_view text, const F &take_it) { return take_it(text) && text.empty(); }

bool read_bytes(std::string &text) {
    const auto bytes = base64_decode(text);
    if (bytes) text = "\\x" + hex_encode(*bytes);
    return bytes.has_value();
}
} // namespace

const char *check_form(Shape shape, std::string &text) {
    const auto unless = [](bool good, const char *wrong) { return good ? nullptr : wrong; };
    const std::string_view all = text;
    switch (shape) {
    case Shape::boolean: return unless(all == "true" || all == "false", "must be true or false");
    case Shape::number: return unless(is_number(all), "must be a number");
    case Shape::uuid:
        return unless(is_all(all, [](auto &t) { return take(t, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"); }),
                      "must be a UUID of the form 8-4-4-4-12");
    case Shape::date:
        return unless(is_all(all, [](auto &t) { return take(t, "dddd-dd-dd"); }), "must be a date such as 2026-12-31");
    case Shape::time:
        return unless(is_all(all, take_time), "must be a time such as 08:30 or 08:30:00, without an offset");
    case Shape::local_timestamp:
        return unless(is_all(all, take_date_and_time),
                      "must be a date-time such as 2026-12-31T08:30:00, without an offset");
    case Shape::timestamp:
        return unless(is_all(all, [](auto &t) { return take_date_and_time(t) && take_offset(t); }),
                      "must be an RFC 3339 date-time with an offset");
    case Shape::duration: return unless(is_duration(all), "must be an ISO 8601 duration such as PT1H30M");
    case Shape::bytes: return unless(read_bytes(text), "must be base64 (RFC 4648 section 4)");
    case Shape::object: return "can be given in the body only";
    case Shape::integer: // by its range, see arguments.cpp
    case Shape::string:
    case Shape::json:
    case Shape::array: return nullptr;
    }
    return nullptr;
}

} // namespace usher::http
