#include "common/json.hpp"
#include "common/encoding.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <list>

#include "common/utf8.hpp"

namespace usher::json {

namespace {

/// Numbers longer than this are refused: the server's numeric type ends at some point, and nobody needs them.
constexpr std::size_t max_number_length = 400;

/// Value of four hex digits, or -1.
int four_hex(std::string_view text, std::size_t at) noexcept {
    if (at + 4 > text.size()) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + 4; ++i) {
        const int digit = hex_value(text[i]);
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

bool is_high_surrogate(int unit) noexcept { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low_surrogate(int unit) noexcept { return unit >= 0xdc00 && unit < 0xe000; }

/// The inside of a string that the parser has accepted, escapes resolved.
std::string unescape(std::string_view inside) {
    std::string out;
    out.reserve(inside.size());
    for (std::size_t i = 0; i < inside.size(); ++i) {
        if (inside[i] != '\\') {
            out += inside[i];
            continue;
        }
        switch (inside[++i]) {
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': {
            const int unit = four_hex(inside, i + 1);
            i += 4;
            if (is_high_surrogate(unit)) {
                const int low = four_hex(inside, i + 3);
                i += 6;
                append_utf8(out, 0x10000U + (static_cast<std::uint32_t>(unit - 0xd800) << 10) +
                                     static_cast<std::uint32_t>(low - 0xdc00));
            } else {
                append_utf8(out, static_cast<std::uint32_t>(unit));
            }
            break;
        }
        default: out += inside[i]; // quote, backslash, slash
        }
    }
    return out;
}

} // namespace

std::string_view kind_name(Kind kind) noexcept {
    switch (kind) {
    case Kind::null: return "null";
    case Kind::boolean: return "boolean";
    case Kind::number: return "number";
    case Kind::string: return "string";
    case Kind::array: return "array";
    case Kind::object: return "object";
    }
    return "value";
}

// --- Parser -------------------------------------------------------------------------------------------------

/// Recursive descent; the depth limit bounds the stack.
class Parser {
public:
    Parser(Document &document, const Limits &limits)
        : text_(document.text_), nodes_(document.nodes_), limits_(limits) {}

    bool run() {
        skip_space();
        if (!value(0)) return false;
        skip_space();
        return at_ == text_.size() || fail("unexpected text after the value", at_);
    }

    std::string message() const { return std::string(problem_) + " at byte " + std::to_string(problem_at_ + 1); }

private:
    using Node = Document::Node;

    bool fail(const char *problem, std::size_t where) {
        problem_ = problem;
        problem_at_ = where;
        return false;
    }

    char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

    void skip_space() noexcept {
        while (at_ < text_.size() &&
               (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
            ++at_;
    }

    std::uint32_t open(Kind kind) {
        nodes_.push_back(Node{static_cast<std::uint32_t>(at_), 0, 0, 0, kind, false});
        return static_cast<std::uint32_t>(nodes_.size() - 1);
    }

    bool close(std::uint32_t node) noexcept {
        nodes_[node].length = static_cast<std::uint32_t>(at_) - nodes_[node].offset;
        nodes_[node].end = static_cast<std::uint32_t>(nodes_.size());
        return true;
    }

    bool value(int depth) {
        switch (peek()) {
        case '{': return depth < limits_.max_depth ? object(depth) : fail("nesting too deep", at_);
        case '[': return depth < limits_.max_depth ? array(depth) : fail("nesting too deep", at_);
        case '"': return string();
        case 't': return literal("true", Kind::boolean);
        case 'f': return literal("false", Kind::boolean);
        case 'n': return literal("null", Kind::null);
        default: return number();
        }
    }

    bool literal(std::string_view word, Kind kind) {
        if (text_.substr(at_, word.size()) != word) return fail("expected a value", at_);
        const std::uint32_t node = open(kind);
        at_ += word.size();
        return close(node);
    }

    bool number() {
        const std::size_t start = at_;
        const auto digits = [&] {
            const std::size_t first = at_;
            while (peek() >= '0' && peek() <= '9') ++at_;
            return at_ > first;
        };
        const std::uint32_t node = open(Kind::number);
        if (peek() == '-') ++at_;
        if (peek() == '0')
            ++at_; // a leading zero stands alone
        else if (!digits())
            return fail("expected a value", start);
        if (peek() == '.') {
            ++at_;
            if (!digits()) return fail("expected a digit", at_);
        }
        bool exponent = false;
        if (peek() == 'e' || peek() == 'E') {
            exponent = true;
            ++at_;
            if (peek() == '+' || peek() == '-') ++at_;
            if (!digits()) return fail("expected a digit", at_);
        }
        if (at_ - start > max_number_length) return fail("number too long", start);
        if (exponent || at_ - start > 300) {
            double ignored;
            const auto result = std::from_chars(text_.data() + start, text_.data() + at_, ignored);
            if (result.ec != std::errc{}) return fail("number out of range", start);
        }
        return close(node);
    }

    /// Where the characters that stand for themselves in a string end: at a quote, a backslash, a control character.
    std::size_t plain_end() const noexcept {
        const char *const end = text_.data() + text_.size();
        const char *at = text_.data() + at_;
        while (at != end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20) ++at;
        return static_cast<std::size_t>(at - text_.data());
    }

    bool string() {
        const std::uint32_t node = open(Kind::string);
        const std::size_t start = at_++;
        for (;; ++at_) {
            at_ = plain_end();
            if (at_ >= text_.size()) return fail("string without end", start);
            if (text_[at_] == '"') break;
            if (text_[at_] != '\\') return fail("control character in a string", at_);
            nodes_[node].escaped = true;
            if (!escape()) return false;
        }
        ++at_;
        return close(node);
    }

    /// at_ is on the backslash; leaves it on the last character of the escape.
    bool escape() {
        const std::size_t start = at_++;
        switch (peek()) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't': return true;
        case 'u': break;
        default: return fail("unknown escape in a string", start);
        }
        const int unit = four_hex(text_, at_ + 1);
        if (unit < 0) return fail("expected four hexadecimal digits", start);
        if (unit == 0) return fail("character U+0000 in a string", start);
        if (is_low_surrogate(unit)) return fail("surrogate without its pair", start);
        at_ += 4;
        if (is_high_surrogate(unit)) {
            if (text_.substr(at_ + 1, 2) != "\\u" || !is_low_surrogate(four_hex(text_, at_ + 3)))
                return fail("surrogate without its pair", start);
            at_ += 6;
        }
        return true;
    }

    bool array(int depth) {
        const std::uint32_t node = open(Kind::array);
        ++at_;
        skip_space();
        std::uint32_t count = 0;
        if (peek() != ']') {
            for (;;) {
                if (!value(depth + 1)) return false;
                ++count;
                skip_space();
                if (peek() != ',') break;
                ++at_;
                skip_space();
            }
        }
        if (peek() != ']') return fail("expected a comma or a closing bracket", at_);
        ++at_;
        nodes_[node].count = count;
        return close(node);
    }

    bool object(int depth) {
        const std::uint32_t node = open(Kind::object);
        ++at_;
        skip_space();
        std::uint32_t count = 0;
        if (peek() != '}') {
            for (;;) {
                if (peek() != '"') return fail("expected a key", at_);
                if (!string()) return false;
                skip_space();
                if (peek() != ':') return fail("expected a colon", at_);
                ++at_;
                skip_space();
                if (!value(depth + 1)) return false;
                ++count;
                skip_space();
                if (peek() != ',') break;
                ++at_;
                skip_space();
            }
        }
        if (peek() != '}') return fail("expected a comma or a closing brace", at_);
        ++at_;
        nodes_[node].count = count;
        close(node);
        return unique_keys(node);
    }

    bool unique_keys(std::uint32_t object) {
        const std::uint32_t count = nodes_[object].count;
        if (count < 2) return true;
        struct Key {
            std::string_view text;
            std::uint32_t node;
            bool operator==(const Key &other) const noexcept { // mostly told by size and first character
                return text.size() == other.text.size() &&
                       (text.empty() || (text.front() == other.text.front() && text == other.text));
            }
        };
        std::list<std::string> unescaped; // keys with escapes; views into it must stay
        const auto key_at = [&](std::uint32_t node) {
            const std::string_view inside = text_.substr(nodes_[node].offset + 1, nodes_[node].length - 2);
            if (!nodes_[node].escaped) return inside;
            return std::string_view(unescaped.emplace_back(unescape(inside)));
        };
        // A handful of keys, which is the common case, is compared pairwise without any allocation.
        constexpr std::uint32_t few = 16;
        Key small[few];
        std::vector<Key> large;
        if (count > few) large.reserve(count);
        std::uint32_t seen = 0;
        for (std::uint32_t node = object + 1; node < nodes_[object].end; node = nodes_[node + 1].end) {
            const Key key{key_at(node), node};
            if (count > few) {
                large.push_back(key);
                continue;
            }
            for (std::uint32_t i = 0; i < seen; ++i)
                if (small[i] == key) return fail("duplicate key", nodes_[node].offset);
            small[seen++] = key;
        }
        std::stable_sort(large.begin(), large.end(), [](const Key &a, const Key &b) { return a.text < b.text; });
        for (std::size_t i = 1; i < large.size(); ++i)
            if (large[i - 1].text == large[i].text) return fail("duplicate key", nodes_[large[i].node].offset);
        return true;
    }

    std::string_view text_;
    std::vector<Node> &nodes_;
    const Limits &limits_;
    std::size_t at_ = 0;
    const char *problem_ = "";
    std::size_t problem_at_ = 0;
};

bool Document::parse(std::string_view text, const Limits &limits) {
    nodes_.clear();
    error_.clear();
    text_ = text;
    if (text.size() > std::min(limits.max_bytes, std::size_t{1} << 31)) {
        error_ = "text longer than " + std::to_string(limits.max_bytes) + " bytes";
    } else if (!is_valid_utf8(text)) {
        error_ = "text is not valid UTF-8";
    } else {
        Parser parser(*this, limits);
        if (parser.run()) return true;
        error_ = parser.message();
    }
    nodes_.assign(1, Node{0, 0, 1, 0, Kind::null, false}); // root() stays harmless
    text_ = {};
    return false;
}

// --- Access -------------------------------------------------------------------------------------------------

std::string Value::unescaped() const {
    const std::string_view text = raw();
    return unescape(text.substr(1, text.size() - 2));
}

std::string Value::as_string() const {
    if (!is_string()) return {};
    const std::string_view inside = raw().substr(1, raw().size() - 2);
    return document_->nodes_[node_].escaped ? unescape(inside) : std::string(inside);
}

std::optional<double> Value::as_double() const {
    if (!is(Kind::number)) return std::nullopt;
    double number = 0;
    const std::string_view text = raw();
    if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) return std::nullopt;
    return number;
}

std::optional<std::int64_t> Value::as_int64() const {
    if (!is(Kind::number)) return std::nullopt;
    const std::string_view text = raw();
    std::int64_t number = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    if (result.ec == std::errc{} && result.ptr == text.data() + text.size()) return number;
    // 1.0 and 1e3 are integers too, as far as a double tells them apart.
    const std::optional<double> approximate = as_double();
    constexpr double exact = 9007199254740992.0; // 2^53
    if (!approximate || std::fabs(*approximate) > exact || std::trunc(*approximate) != *approximate)
        return std::nullopt;
    return static_cast<std::int64_t>(*approximate);
}

std::optional<bool> Value::as_bool() const {
    if (!is(Kind::boolean)) return std::nullopt;
    return raw() == "true";
}

std::string Member::key() const { return key_value_ ? key_value_->as_string() : std::string(); }

// --- Writing ------------------------------------------------------------------------------------------------

void append_string(std::string &out, std::string_view text) {
    out += '"';
    std::size_t copied = 0; // most text needs no escapes: it is copied in runs
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
        out.append(text, copied, i - copied);
        copied = i + 1;
        switch (c) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\b': out += "\\b"; break;
        case '\f': out += "\\f"; break;
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        default: out += "\\u00"; append_hex(out, c);
        }
    }
    out.append(text, copied, text.size() - copied);
    out += '"';
}

std::string quote(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 2);
    append_string(out, text);
    return out;
}

} // namespace usher::json
