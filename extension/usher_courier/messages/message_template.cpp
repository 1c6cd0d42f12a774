#include "usher_courier/messages/message_template.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "usher_courier/courier_errors.hpp"
#include "usher_courier/messages/value_form.hpp"
#include <algorithm>

namespace usher::courier {

namespace {
using Part = MessageTemplate::Part;
using Kind = Part::Kind;
constexpr int max_nesting = 8;
constexpr std::size_t max_value = 10'000;
constexpr int max_steps = 100'000; // parts that are looked at: sections in sections multiply

[[noreturn]] void refuse(const std::string &why) { throw Error(errc::invalid_template, why); }

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > 100 || text.front() == '.' || text.back() == '.') return false;
    return text.find("..") == std::string_view::npos && std::all_of(text.begin(), text.end(), [](char c) {
               return is_lower(c) || is_digit(c) || c == '_' || c == '.';
           });
}

std::string checked_name(std::string_view text) {
    const std::string_view name = trim(text);
    if (!is_name(name))
        refuse("a placeholder of a template is a name of a-z, 0-9 and _, with points between its parts");
    return std::string(name);
}

class Parser {
public:
    Parser(std::string_view text, Medium medium) : rest_(text), medium_(medium) {}

    std::vector<Part> parse() {
        std::vector<Part> parts = parse_until({}, 0);
        if (medium_ == Medium::html) scanner_.finish();
        return parts;
    }

private:
    std::vector<Part> parse_until(const std::string &closing, int depth) {
        if (depth > max_nesting) refuse("sections of a template are nested too deeply");
        std::vector<Part> parts;
        for (;;) {
            const std::size_t open = rest_.find("{{");
            add_literal(parts, rest_.substr(0, open));
            if (open == std::string_view::npos) {
                if (!closing.empty()) refuse("section \"" + closing + "\" of a template has no end");
                return parts;
            }
            rest_.remove_prefix(open + 2);
            const std::size_t close = rest_.find("}}");
            if (close == std::string_view::npos) refuse("a placeholder of a template has no end");
            const std::string_view tag = trim(rest_.substr(0, close));
            rest_.remove_prefix(close + 2);
            if (tag.empty()) refuse("a placeholder of a template has no name");
            if (tag.front() == '/') {
                if (closing.empty() || trim(tag.substr(1)) != closing)
                    refuse("a template ends a section that is not the innermost");
                return parts;
            }
            if (tag.front() == '#' || tag.front() == '^')
                parts.push_back(parse_section(tag, depth));
            else
                parts.push_back(parse_value(tag));
        }
    }

    void add_literal(std::vector<Part> &parts, std::string_view text) {
        if (text.empty()) return;
        const auto is_refused = [this](char c) {
            return is_control(c) && (medium_ == Medium::line || (c != '\n' && c != '\r' && c != '\t'));
        };
        if (std::any_of(text.begin(), text.end(), is_refused))
            refuse(medium_ == Medium::line ? "a subject is one line" : "a template has control characters");
        if (medium_ == Medium::html) scanner_.read(text);
        Part literal;
        literal.text = text;
        parts.push_back(std::move(literal));
    }

    Part parse_section(std::string_view tag, int depth) {
        Part section;
        section.kind = tag.front() == '#' ? Kind::section : Kind::inverted;
        section.text = checked_name(tag.substr(1));
        const HtmlScanner before = scanner_;
        section.parts = parse_until(section.text, depth + 1);
        // Shown or not, once or often: what follows stands in the same place.
        if (!(scanner_ == before))
            refuse("section \"" + section.text + "\" of a template begins and ends in different places of the HTML");
        return section;
    }

    Part parse_value(std::string_view tag) {
        Part value;
        value.kind = Kind::value;
        value.place = medium_ == Medium::line   ? Place::line
                      : medium_ == Medium::text ? Place::text
                                                : scanner_.place_value();
        const std::size_t bar = tag.find('|');
        value.text = checked_name(tag.substr(0, bar));
        if (bar == std::string_view::npos) return value;
        const std::string_view form = trim(tag.substr(bar + 1));
        if (form == "date") {
            value.form = Form::date;
        } else if (form == "time") {
            value.form = Form::time;
        } else if (form == "datetime") {
            value.form = Form::datetime;
        } else if (form.starts_with("money:")) {
            value.form = Form::money;
            value.currency = checked_name(form.substr(6));
        } else {
            refuse("a placeholder of a template is followed by |date, |time, |datetime or |money:currency");
        }
        return value;
    }

    std::string_view rest_;
    Medium medium_;
    HtmlScanner scanner_;
};

bool names_any(const std::vector<Part> &parts, std::string_view name) {
    return std::any_of(parts.begin(), parts.end(), [&](const Part &part) {
        return (part.kind != Kind::literal && part.text == name) || part.currency == name ||
               names_any(part.parts, name);
    });
}

bool is_shown(const json::Value &value) {
    switch (value.kind()) {
    case json::Kind::null: return false;
    case json::Kind::boolean: return value.as_bool().value_or(false);
    case json::Kind::string: return !value.equals("");
    case json::Kind::array:
    case json::Kind::object: return value.size() > 0;
    case json::Kind::number: return value.as_double().value_or(1) != 0;
    }
    return false;
}

/// Characters that say in which direction a text runs, and separators of lines: a name could turn around what follows.
bool is_steering(std::string_view text, std::size_t at) {
    if (at + 3 > text.size() || text[at] != '\xe2') return false;
    const auto second = static_cast<unsigned char>(text[at + 1]), third = static_cast<unsigned char>(text[at + 2]);
    return (second == 0x80 && third >= 0xa8 && third <= 0xae) || (second == 0x81 && third >= 0xa6 && third <= 0xa9);
}

/// One line: what breaks lines is a space.
std::string plain_line(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_steering(text, i)) {
            i += 2;
            out += ' ';
        } else if (text[i] == '\xc2' && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
            ++i; // the control characters of ISO 8859-1, with NEL among them
            out += ' ';
        } else {
            out += is_control(text[i]) ? ' ' : text[i];
        }
    }
    return out;
}

void append_escaped(std::string &out, std::string_view text) {
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break;
        default: out += c;
        }
    }
}

bool is_address_character(char c) {
    return is_unreserved(c) || std::string_view(":/?#[]@!$&'()*+,;=%").find(c) != std::string_view::npos;
}

/// An address by itself, if it leads to the web or to a mailbox; else nowhere.
void append_address(std::string &out, std::string_view text) {
    std::string encoded;
    for (const char c : trim(text))
        if (is_address_character(c))
            encoded += c;
        else
            append_percent_encoded(encoded, c);
    const std::string_view scheme = std::string_view(encoded).substr(0, encoded.find(':'));
    const bool is_safe = scheme.size() < encoded.size() &&
                         (equal_ignoring_case(scheme, "https") || equal_ignoring_case(scheme, "http") ||
                          equal_ignoring_case(scheme, "mailto") || equal_ignoring_case(scheme, "tel"));
    append_escaped(out, is_safe ? std::string_view(encoded) : "#");
}

void append_value(std::string &out, std::string_view text, Place place) {
    switch (place) {
    case Place::line:
    case Place::text: out += text; return;
    case Place::element:
    case Place::attribute: append_escaped(out, text); return;
    case Place::url_start: append_address(out, text); return;
    case Place::url_part:
        for (const char c : text)
            if (is_unreserved(c))
                out += c;
            else
                append_percent_encoded(out, c);
        return;
    }
}

class Renderer {
public:
    Renderer(const json::Value &values, std::string_view language) : scopes_{values}, language_(language) {}

    std::string render(const std::vector<Part> &parts) {
        add(parts);
        return std::move(out_);
    }

private:
    void add(const std::vector<Part> &parts) {
        for (const Part &part : parts) {
            if (++steps_ > max_steps || out_.size() > max_message) refuse("a message becomes too large");
            switch (part.kind) {
            case Kind::literal: out_ += part.text; break;
            case Kind::value: append_value(out_, formed(part), part.place); break;
            case Kind::section: add_section(part); break;
            case Kind::inverted:
                if (const auto value = find(part.text); !value || !is_shown(*value)) add(part.parts);
                break;
            }
        }
    }

    void add_section(const Part &part) {
        const auto value = find(part.text);
        if (!value || !is_shown(*value)) return;
        if (value->is_array()) {
            for (const json::Member member : value->members()) add_inside(part, member.value);
        } else {
            add_inside(part, *value);
        }
    }

    void add_inside(const Part &part, const json::Value &scope) {
        scopes_.push_back(scope);
        add(part.parts);
        scopes_.pop_back();
    }

    /// The first part of a name in the innermost scope that has it, and the others inside of that.
    std::optional<json::Value> find(std::string_view name) const {
        std::optional<json::Value> found;
        const std::size_t point = name.find('.');
        for (auto scope = scopes_.rbegin(); scope != scopes_.rend() && !found; ++scope)
            found = scope->find(name.substr(0, point));
        while (found && name.find('.') != std::string_view::npos) {
            name.remove_prefix(name.find('.') + 1);
            found = found->find(name.substr(0, name.find('.')));
        }
        return found;
    }

    std::string text_of(std::string_view name) const {
        const auto value = find(name);
        if (!value) return {};
        switch (value->kind()) {
        case json::Kind::string: return plain_line(clip(value->as_string(), max_value));
        case json::Kind::number:
        case json::Kind::boolean: return std::string(value->raw());
        default: return {};
        }
    }

    std::string formed(const Part &part) const {
        std::string text = text_of(part.text);
        if (part.form == Form::plain || text.empty()) return text;
        if (part.form == Form::money) {
            const auto minor = find(part.text)->as_int64();
            return minor ? format_money(*minor, text_of(part.currency), language_) : text;
        }
        const auto time = parse_wall_time(text);
        if (!time) return text;
        if (part.form == Form::date) return format_date(*time, language_);
        if (part.form == Form::time) return format_time(*time, language_);
        return format_date(*time, language_) + ", " + format_time(*time, language_);
    }

    std::vector<json::Value> scopes_;
    std::string_view language_;
    std::string out_;
    int steps_ = 0;
};
} // namespace

MessageTemplate::MessageTemplate(std::string_view text, Medium medium) {
    if (text.size() > max_template) refuse("a template has at most 100000 bytes");
    if (!is_valid_utf8(text)) refuse("a template is no UTF-8");
    parts_ = Parser(text, medium).parse();
}

std::string MessageTemplate::render(const json::Value &values, std::string_view language) const {
    return Renderer(values, language).render(parts_);
}

bool MessageTemplate::names(std::string_view name) const { return names_any(parts_, name); }

} // namespace usher::courier
