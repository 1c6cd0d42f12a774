#include "usher_courier/messages/html_scanner.hpp"
#include "common/error.hpp"
#include "common/text.hpp"
#include "usher_courier/courier_errors.hpp"
#include <algorithm>

namespace usher::courier {

namespace {
constexpr std::string_view refused_elements[] = {
    "script", "iframe",   "frame",    "frameset", "object",   "embed", "applet", "xmp",  "plaintext",
    "base",   "noembed",  "noframes", "noscript", "template", "svg",   "math",   "form", "input",
    "button", "textarea", "select",   "link",     "audio",    "video", "portal",
};
constexpr std::string_view url_attributes[] = {"href",     "src",        "action", "background", "cite",
                                               "longdesc", "usemap",     "poster", "lowsrc",     "dynsrc",
                                               "data",     "formaction", "ping",   "srcset",     "xlink:href"};
constexpr std::string_view schemes[] = {"http", "https", "mailto", "tel"};

template <std::size_t N> bool is_in(std::string_view name, const std::string_view (&list)[N]) {
    return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

// White space of HTML: without the vertical tab, which is part of a name there.
constexpr bool is_html_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; }

// Elements whose content is text up to their end tag, whatever looks like a tag in it; others like them are refused.
constexpr std::string_view text_elements[] = {"style", "title"};

[[noreturn]] void refuse(const std::string &why) { throw Error(errc::invalid_template, "HTML of a template: " + why); }
} // namespace

void HtmlScanner::read(std::string_view literal) {
    for (const char c : literal) step(c);
}

Place HtmlScanner::place_value() {
    switch (state_) {
    case State::content: return Place::element;
    case State::raw_text:
        // In a title, as between elements, no value can begin a tag.
        if (name_ == "title" && raw_.empty()) return Place::element;
        refuse("no value may stand in the element \"" + name_ + '"');
    case State::quoted:
        if (is_style_) refuse("no value may stand in the attribute \"" + attribute_ + '"');
        if (!is_url_) return Place::attribute;
        if (!has_scheme_ && scheme_.empty() && !is_value_in_) {
            is_value_in_ = true;
            return Place::url_start;
        }
        is_value_in_ = true;
        return Place::url_part;
    default: refuse("a value may stand between elements and in quoted attributes only");
    }
}

void HtmlScanner::finish() const {
    if (state_ != State::content) refuse("a tag, an attribute or a comment has no end");
}

void HtmlScanner::end_tag_name() const {
    if (is_in(name_, refused_elements)) refuse("no place for the element \"" + name_ + '"');
}

void HtmlScanner::begin_attribute(char c) {
    attribute_.assign(1, to_lower(c));
    state_ = State::attribute_name;
}

void HtmlScanner::end_name() {
    if (attribute_.starts_with("on") || attribute_ == "srcdoc" || attribute_ == "http-equiv")
        refuse("no place for the attribute \"" + attribute_ + '"');
    is_url_ = is_in(attribute_, url_attributes);
    is_style_ = attribute_ == "style" || attribute_ == "srcset";
}

// Of an address, what stands before its first colon.
void HtmlScanner::check_scheme(char c) {
    if (has_scheme_) return;
    if (c == ':') {
        if (is_value_in_ || !is_in(scheme_, schemes)) refuse("an address begins with http, https, mailto or tel");
        has_scheme_ = true;
    } else if (c == '/' || c == '?' || c == '#') {
        has_scheme_ = true;
    } else if (c == '&') {
        if (!is_value_in_) refuse("no character reference may stand before the scheme of an address");
        has_scheme_ = true;
    } else if (is_space(c) || is_control(c)) {
        if (!scheme_.empty()) refuse("no white space in an address");
    } else {
        scheme_ += to_lower(c);
    }
}

void HtmlScanner::step(char c) {
    switch (state_) {
    case State::content:
        if (c == '<') state_ = State::less_than;
        return;
    case State::less_than:
        is_end_ = false;
        if (is_lower(to_lower(c))) {
            name_.assign(1, to_lower(c));
            state_ = State::tag_name;
        } else if (c == '/') {
            state_ = State::end_less_than;
        } else if (c == '!') {
            dashes_ = 0;
            state_ = State::bang;
        } else {
            refuse("\"<\" that begins no tag is written \"&lt;\"");
        }
        return;
    case State::end_less_than:
        if (!is_lower(to_lower(c))) refuse("\"</\" begins no tag");
        is_end_ = true;
        name_.assign(1, to_lower(c));
        state_ = State::tag_name;
        return;
    case State::bang:
        if (c == '-' && ++dashes_ == 2) {
            dashes_ = 0;
            is_empty_ = true;
            state_ = State::comment;
        } else if (c != '-') {
            dashes_ = 0;
            state_ = c == '>' ? State::content : State::declaration;
        }
        return;
    case State::declaration:
        if (c == '>') state_ = State::content;
        return;
    case State::comment:
        // Where HTML ends a comment too, in ways that readers of mail do not agree on.
        if (c == '>' && is_empty_ && dashes_ < 2)
            refuse("a comment begins with neither \">\" nor \"->\"");
        else if (c == '!' && dashes_ >= 2)
            refuse("a comment ends with \"-->\", and has no \"--!\"");
        else if (c == '-')
            ++dashes_;
        else if (c == '>' && dashes_ >= 2)
            *this = HtmlScanner();
        else
            dashes_ = 0;
        is_empty_ = is_empty_ && state_ == State::comment && c == '-';
        return;
    case State::tag_name:
        if (is_html_space(c) || c == '/' || c == '>') {
            end_tag_name();
            state_ = State::in_tag;
            if (c == '>') step(c);
        } else {
            name_ += to_lower(c);
        }
        return;
    case State::in_tag:
        if (c == '>') {
            const std::string name = is_in(name_, text_elements) && !is_end_ ? name_ : "";
            *this = HtmlScanner();
            if (!name.empty()) {
                name_ = name;
                state_ = State::raw_text;
            }
        } else if (c == '"' || c == '\'' || c == '<' || c == '=') {
            refuse("an attribute begins with its name");
        } else if (!is_html_space(c) && c != '/') {
            begin_attribute(c);
        }
        return;
    case State::attribute_name:
        if (c == '=' || is_html_space(c) || c == '/' || c == '>') {
            end_name();
            state_ = c == '=' ? State::before_value : State::after_name;
            if (c == '/' || c == '>') {
                state_ = State::in_tag;
                step(c);
            }
        } else {
            attribute_ += to_lower(c);
        }
        return;
    case State::after_name:
        if (c == '=') {
            state_ = State::before_value;
        } else if (!is_html_space(c)) {
            state_ = State::in_tag;
            step(c);
        }
        return;
    case State::before_value:
        if (is_html_space(c)) return;
        if (c != '"' && c != '\'') refuse("the value of an attribute stands in quotes");
        quote_ = c;
        has_scheme_ = is_value_in_ = false;
        scheme_.clear();
        state_ = State::quoted;
        return;
    case State::quoted:
        if (c == quote_) {
            state_ = State::in_tag;
            quote_ = 0;
            has_scheme_ = is_value_in_ = is_url_ = is_style_ = false;
            scheme_.clear();
            attribute_.clear();
        } else if (is_url_) {
            check_scheme(c);
        }
        return;
    case State::raw_text: {
        const std::string end = "</" + name_;
        if (raw_ == end && (is_html_space(c) || c == '/' || c == '>')) { // an end tag, which may have attributes
            raw_.clear();
            is_end_ = true;
            state_ = State::in_tag;
            if (c == '>') step(c);
            return;
        }
        raw_ += to_lower(c);
        if (!end.starts_with(raw_)) raw_ = c == '<' ? "<" : "";
        return;
    }
    }
}

} // namespace usher::courier
