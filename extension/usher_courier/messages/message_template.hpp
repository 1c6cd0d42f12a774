// Templates of messages: text with {{placeholders}} and sections, and no code.
//
//     {{name}}  {{user.name}}               a value, escaped by its place
//     {{start_at|datetime}}                 … as a date and a time (date, time), in the language of the message
//     {{amount_minor|money:currency}}       … an amount in minor units, in the currency that another value names
//     {{#name}}…{{/name}}                   shown when the value is there and not 0, for each element of an array
//     {{^name}}…{{/name}}                   shown when it is not
#pragma once
#include "common/json.hpp"
#include "usher_courier/messages/html_scanner.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::courier {

/// What a template makes: one line of a header, a text, or HTML.
enum class Medium : std::uint8_t { line, text, html };

class MessageTemplate {
public:
    /// Throws UM001 for what cannot be read, and for values where they would not be safe.
    MessageTemplate(std::string_view text, Medium medium);

    /// `values`: an object. What is not there is empty. Throws UM001 when more than `max_message` bytes come out.
    [[nodiscard]] std::string render(const json::Value &values, std::string_view language) const;

    /// Does a placeholder or a section have this name?
    [[nodiscard]] bool names(std::string_view name) const;

    struct Part;

private:
    std::vector<Part> parts_;
};

enum class Form : std::uint8_t { plain, date, time, datetime, money };

struct MessageTemplate::Part {
    enum class Kind : std::uint8_t { literal, value, section, inverted };
    Kind kind = Kind::literal;
    Place place = Place::text;
    Form form = Form::plain;
    std::string text;     // a literal, or a name
    std::string currency; // the name of another value
    std::vector<Part> parts;
};

inline constexpr std::size_t max_template = 100'000;
inline constexpr std::size_t max_message = 500'000;

} // namespace usher::courier
