// Strict JSON (RFC 8259, I-JSON of RFC 7493): UTF-8 only, no duplicate keys, no U+0000, no lone surrogates,
// nothing but white space after the value, depth and size limited, numbers within the range of a double.
// Parsing builds a flat index over the text and copies nothing: a Document refers to the text that it was
// parsed from, which must outlive it. One Document can parse many texts and keeps its memory.
//
//     json::Document document;
//     if (!document.parse(text)) return document.error();   // "duplicate key at byte 17"
//     if (auto exp = document.root().find("exp")) use(exp->as_int64());
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace usher::json {

enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

/// "object", "string" and so on, for messages.
std::string_view kind_name(Kind kind) noexcept;

struct Limits {
    std::size_t max_bytes = std::size_t{1} << 20;
    int max_depth = 64;
};

class Document;
class Iterator;
class Range;

/// One value of a document; a cheap handle, valid until the document parses again.
class Value {
public:
    Kind kind() const noexcept;
    bool is(Kind wanted) const noexcept { return kind() == wanted; }
    bool is_null() const noexcept { return is(Kind::null); }
    bool is_string() const noexcept { return is(Kind::string); }
    bool is_object() const noexcept { return is(Kind::object); }
    bool is_array() const noexcept { return is(Kind::array); }

    /// The value as it stands in the text (a string with its quotes).
    std::string_view raw() const noexcept;

    /// Text of a string with its escapes resolved; empty for other kinds.
    std::string as_string() const;

    /// The same without a copy where there are no escapes; else it is put into `buffer`.
    std::string_view view(std::string &buffer) const;

    /// Compares a string with `text` without copying; false for other kinds.
    bool equals(std::string_view text) const;

    /// An integral number (1, 1.0, 1e3) within int64; nothing for any other value.
    std::optional<std::int64_t> as_int64() const;

    std::optional<double> as_double() const;
    std::optional<bool> as_bool() const;

    /// Number of members or elements; 0 for other kinds.
    std::size_t size() const noexcept;

    /// The member with that key; nothing if there is none or this is no object.
    std::optional<Value> find(std::string_view key) const;

    /// Members or elements in the order of the text: for (Member m : value.members()) m.key, m.value.
    Range members() const noexcept;

private:
    friend class Document;
    friend class Iterator;
    Value(const Document *document, std::uint32_t node) noexcept : document_(document), node_(node) {}
    std::string unescaped() const; // of a string
    const Document *document_;
    std::uint32_t node_;
};

/// A member of an object, or an element of an array (then key() is empty).
class Member {
public:
    Value value;
    std::string key() const;
    bool has_key(std::string_view key) const;
    /// As Value::view().
    std::string_view key_view(std::string &buffer) const {
        return key_value_ ? key_value_->view(buffer) : std::string_view();
    }

private:
    friend class Iterator;
    Member(Value value_, std::optional<Value> key_) noexcept : value(value_), key_value_(key_) {}
    std::optional<Value> key_value_;
};

class Iterator {
public:
    Member operator*() const noexcept;
    Iterator &operator++() noexcept;
    bool operator!=(const Iterator &other) const noexcept { return left_ != other.left_; }

private:
    friend class Value;
    Iterator(const Document *document, std::uint32_t node, std::uint32_t left, bool keyed) noexcept
        : document_(document), node_(node), left_(left), keyed_(keyed) {}
    const Document *document_;
    std::uint32_t node_;
    std::uint32_t left_; // members still to come
    bool keyed_;
};

class Range {
public:
    Iterator begin() const noexcept { return begin_; }
    Iterator end() const noexcept { return end_; }

private:
    friend class Value;
    Range(Iterator begin, Iterator end) noexcept : begin_(begin), end_(end) {}
    Iterator begin_, end_;
};

class Document {
public:
    /// False when the text breaks a rule; error() then says which and where.
    bool parse(std::string_view text, const Limits &limits = {});

    /// Valid after a successful parse only.
    Value root() const noexcept { return {this, 0}; }

    /// What is wrong and at which byte; never contains any of the text (it may hold secrets).
    const std::string &error() const noexcept { return error_; }

private:
    friend class Value;
    friend class Iterator;
    friend class Parser;

    struct Node { // children of a container follow it; the key of a member is a string node before its value
        std::uint32_t offset;
        std::uint32_t length;
        std::uint32_t end;   // index of the first node after this value
        std::uint32_t count; // members or elements
        Kind kind;
        bool escaped; // a string that contains a backslash
    };

    std::string_view text_;
    std::vector<Node> nodes_;
    std::string error_;
};

// Small and called for every member of every token: here, so that the compiler can put them where they are called.

inline Kind Value::kind() const noexcept { return document_->nodes_[node_].kind; }

inline std::string_view Value::raw() const noexcept {
    const auto &node = document_->nodes_[node_];
    return {document_->text_.data() + node.offset, node.length};
}

inline std::size_t Value::size() const noexcept { return document_->nodes_[node_].count; }

inline std::string_view Value::view(std::string &buffer) const {
    if (!is_string()) return {};
    const std::string_view inside = raw().substr(1, raw().size() - 2);
    if (!document_->nodes_[node_].escaped) return inside;
    return buffer = unescaped();
}

inline bool Value::equals(std::string_view text) const {
    if (!is_string()) return false;
    if (document_->nodes_[node_].escaped) return as_string() == text;
    return raw().substr(1, raw().size() - 2) == text;
}

inline std::optional<Value> Value::find(std::string_view key) const {
    if (!is_object()) return std::nullopt;
    const auto &nodes = document_->nodes_;
    for (std::uint32_t node = node_ + 1; node < nodes[node_].end; node = nodes[node + 1].end)
        if (Value(document_, node).equals(key)) return Value(document_, node + 1);
    return std::nullopt;
}

inline Range Value::members() const noexcept {
    const auto count = static_cast<std::uint32_t>(size());
    const bool keyed = is_object();
    return {Iterator(document_, node_ + 1, count, keyed), Iterator(document_, 0, 0, keyed)};
}

inline Member Iterator::operator*() const noexcept {
    if (keyed_) return {Value(document_, node_ + 1), Value(document_, node_)};
    return {Value(document_, node_), std::nullopt};
}

inline Iterator &Iterator::operator++() noexcept {
    node_ = document_->nodes_[keyed_ ? node_ + 1 : node_].end;
    --left_;
    return *this;
}

inline bool Member::has_key(std::string_view key) const { return key_value_ && key_value_->equals(key); }

/// Appends `text` as a JSON string with quotes; the text must be valid UTF-8.
void append_string(std::string &out, std::string_view text);
std::string quote(std::string_view text);

} // namespace usher::json
