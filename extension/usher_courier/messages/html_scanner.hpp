// Where in an HTML text a placeholder stands. Templates are written by administrators, values come from anybody: what a
// value may look like follows from its place, and in some places none may stand at all.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace usher::courier {

/// What is around a placeholder. The first two are no HTML.
enum class Place : std::uint8_t { line, text, element, attribute, url_start, url_part };

/// Reads the literal parts of a template one after the other. Throws UM001 for what no mail needs: scripts, frames and
/// other elements that run or load something, handlers of events, links whose scheme is not http, https, mailto or tel.
class HtmlScanner {
public:
    void read(std::string_view literal);
    /// The place of a value that follows what was read; throws UM001 where none may stand.
    Place place_value();
    /// Throws UM001 when a tag, an attribute or a comment is still open.
    void finish() const;
    /// Two scanners that would treat all that follows alike.
    friend bool operator==(const HtmlScanner &, const HtmlScanner &) = default;

private:
    enum class State : std::uint8_t {
        content,
        less_than,
        end_less_than,
        bang,
        declaration,
        comment,
        tag_name,
        in_tag,
        attribute_name,
        after_name,
        before_value,
        quoted,
        raw_text,
    };
    void step(char c);
    void begin_attribute(char c);
    void end_name();
    void end_tag_name() const;
    void check_scheme(char c);
    State state_ = State::content;
    char quote_ = 0;
    bool is_end_ = false;      // of an end tag
    bool is_url_ = false;      // the attribute is one that holds an address
    bool is_style_ = false;    // … or has rules of its own
    bool has_scheme_ = false;  // the address can get none any more
    bool is_value_in_ = false; // a placeholder stood in the attribute
    bool is_empty_ = false;    // the comment has had nothing but dashes
    int dashes_ = 0;           // of a comment
    std::string name_;         // of the element
    std::string raw_;          // in a style sheet or title, what was read of its end tag
    std::string attribute_;
    std::string scheme_;
};

} // namespace usher::courier
