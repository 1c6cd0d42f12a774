#include "usher/access/policy_match.hpp"
#include "common/error.hpp"
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

namespace usher::policy {

namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    for (;;) {
        const std::size_t found = text.find(from);
        out += text.substr(0, found);
        if (found == std::string_view::npos) return out;
        out += to;
        text.remove_prefix(found + from.size());
    }
}

/// {name} in a pattern becomes what `expand` says about the name.
template <class F> std::string replace_braces(std::string_view pattern, F &&expand) {
    std::string out;
    while (!pattern.empty()) {
        const std::size_t open = pattern.find('{');
        const std::size_t close = open == std::string_view::npos ? open : pattern.find('}', open);
        const bool named = close != std::string_view::npos && close > open + 1 &&
                           pattern.substr(open, close - open).find('/') == std::string_view::npos;
        if (!named) {
            out += pattern.substr(0, open);
            if (open == std::string_view::npos) break;
            out += "\\{"; // a brace of its own is itself
            pattern.remove_prefix(open + 1);
            continue;
        }
        out += pattern.substr(0, open);
        out += expand(pattern.substr(open + 1, close - open - 1));
        pattern.remove_prefix(close + 1);
    }
    return out;
}

std::string whole(const std::string &pattern) { return "^" + pattern + "$"; }

struct Address {
    std::array<unsigned char, 16> bytes{};
    int bits = 0; // 32 or 128; 0 when malformed
};

Address parse_address(std::string_view text) {
    Address out;
    char buffer[64];
    if (text.size() >= sizeof buffer) return out;
    std::memcpy(buffer, text.data(), text.size());
    buffer[text.size()] = '\0';
    if (std::memchr(buffer, '\0', text.size()) != nullptr) return out;
    if (inet_pton(AF_INET, buffer, out.bytes.data()) == 1)
        out.bits = 32;
    else if (inet_pton(AF_INET6, buffer, out.bytes.data()) == 1)
        out.bits = 128;
    return out;
}

} // namespace

bool key_match(std::string_view key, std::string_view pattern) {
    const std::size_t star = pattern.find('*');
    if (star == std::string_view::npos) return key == pattern;
    return key.starts_with(pattern.substr(0, star));
}

std::string key_match2_regex(std::string_view pattern) {
    if (pattern == "*") return "^(.*)$";
    const std::string stars = replace_all(pattern, "/*", "/.*");
    std::string out; // :name up to the next slash
    for (std::size_t at = 0; at < stars.size();) {
        if (stars[at] == ':' && at + 1 < stars.size() && stars[at + 1] != '/') {
            out += "[^/]+";
            for (++at; at < stars.size() && stars[at] != '/'; ++at) {
            }
        } else {
            out.push_back(stars[at++]);
        }
    }
    return whole(out);
}

std::string key_match3_regex(std::string_view pattern) {
    return whole(
        replace_braces(replace_all(pattern, "/*", "/.*"), [](std::string_view) { return std::string("[^/]+"); }));
}

std::string key_match4_regex(std::string_view pattern) {
    std::vector<std::string> seen;
    return whole(replace_braces(replace_all(pattern, "/*", "/.*"), [&](std::string_view name) {
        for (std::size_t i = 0; i < seen.size(); ++i)
            if (seen[i] == name) return "\\" + std::to_string(i + 1) + "(?:)"; // the empty group ends the number
        seen.emplace_back(name);
        return std::string("([^/]+)");
    }));
}

std::string key_match5_regex(std::string_view pattern) { return key_match3_regex(pattern); }

std::string_view without_query(std::string_view key) { return key.substr(0, key.find('?')); }

bool ip_match(std::string_view address, std::string_view network) {
    const std::size_t slash = network.find('/');
    const Address wanted = parse_address(network.substr(0, slash));
    const Address given = parse_address(address);
    if (given.bits == 0 || given.bits != wanted.bits) return false;
    int length = wanted.bits;
    if (slash != std::string_view::npos) {
        const std::string_view digits = network.substr(slash + 1);
        const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size() || length < 0 || length > wanted.bits)
            return false;
    }
    const auto full = static_cast<std::size_t>(length / 8);
    if (std::memcmp(given.bytes.data(), wanted.bytes.data(), full) != 0) return false;
    const int rest = length % 8;
    return rest == 0 || (given.bytes[full] ^ wanted.bytes[full]) >> (8 - rest) == 0;
}

namespace {

/// The work of one match, in characters looked at. It has a bound, whatever the text and the pattern are, and the
/// caller may end it every millisecond or so.
class Work {
public:
    explicit Work(const Poll &poll) : poll_(poll) {}
    void spend(std::size_t characters) {
        done_ += characters;
        if (done_ > max_work) throw Error(errc::invalid_argument, "policy: a glob pattern takes too long to match");
        if (done_ < next_poll_) return;
        next_poll_ = done_ + between_polls;
        if (poll_) poll_();
    }

private:
    static constexpr std::size_t max_work = 20'000'000, between_polls = 100'000;
    const Poll &poll_;
    std::size_t done_ = 0, next_poll_ = 0;
};

/// One character of a pattern at `p`, a class in brackets included, against `c`. Advances `p`; nullptr result:
/// malformed.
bool match_class(std::string_view pattern, std::size_t &p, char c, bool &malformed) {
    bool negated = false;
    bool hit = false;
    ++p; // the opening bracket
    if (p < pattern.size() && (pattern[p] == '^' || pattern[p] == '!')) {
        negated = true;
        ++p;
    }
    const auto take = [&]() -> char {
        if (p < pattern.size() && pattern[p] == '\\') ++p;
        if (p >= pattern.size()) {
            malformed = true;
            return '\0';
        }
        return pattern[p++];
    };
    for (bool first = true; !malformed && p < pattern.size() && (first || pattern[p] != ']'); first = false) {
        const auto low = static_cast<unsigned char>(take());
        auto high = low;
        if (p + 1 < pattern.size() && pattern[p] == '-' && pattern[p + 1] != ']') {
            ++p;
            high = static_cast<unsigned char>(take());
        }
        const auto mine = static_cast<unsigned char>(c);
        if (low <= mine && mine <= high) hit = true;
    }
    if (p >= pattern.size()) malformed = true;
    ++p; // the closing bracket
    return hit != negated;
}

} // namespace

namespace {

/// One path segment: * and ? and classes, none of which stands for a dot at the beginning; backslash quotes.
bool match_segment(std::string_view text, std::string_view pattern, Work &work) {
    constexpr std::size_t none = std::string_view::npos;
    if (pattern.find_first_not_of('*') == none && !pattern.empty() && text.empty()) return false;
    if (text.starts_with('.') && pattern.find_first_of("*?[") == 0) return false;
    if ((text == "." || text == "..") && pattern.find_first_of("*?[") != none) return false;
    std::size_t t = 0;
    std::size_t p = 0;
    std::size_t star_p = none; // after the last star, and what it has taken so far
    std::size_t star_t = 0;
    while (t < text.size() || p < pattern.size()) {
        work.spend(1);
        bool matched = false;
        if (p < pattern.size() && pattern[p] == '*') {
            star_p = ++p;
            star_t = t;
            continue;
        }
        if (p < pattern.size() && t < text.size()) {
            if (pattern[p] == '?') {
                matched = true;
                ++p;
            } else if (pattern[p] == '[') {
                bool malformed = false;
                const std::size_t begin = p;
                matched = match_class(pattern, p, text[t], malformed);
                work.spend(p - begin);
                if (malformed) return false;
            } else {
                if (pattern[p] == '\\' && ++p >= pattern.size()) return false;
                matched = pattern[p] == text[t];
                ++p;
            }
        }
        if (matched) {
            ++t;
            continue;
        }
        if (star_p == none || star_t >= text.size()) return false;
        t = ++star_t; // the last star takes one more
        p = star_p;
    }
    return true;
}

std::vector<std::string_view> segments(std::string_view path) { // several slashes count as one
    std::vector<std::string_view> out;
    for (;;) {
        const std::size_t slash = path.find('/');
        out.push_back(path.substr(0, slash));
        if (slash == std::string_view::npos) return out;
        path.remove_prefix(std::min(path.find_first_not_of('/', slash), path.size()));
    }
}

/// Segments against segments, where "**" stands for any number of them that do not begin with a dot. Worked out from
/// the end, so that the cost is the product of their numbers at most.
bool match_segments(const std::vector<std::string_view> &text, const std::vector<std::string_view> &pattern,
                    Work &work) {
    std::vector<bool> after(text.size() + 1, false); // does what follows in the pattern match the text from here on?
    after[text.size()] = true;
    if (text.back().empty()) after[text.size() - 1] = true; // a slash at the end may be left over
    for (std::size_t p = pattern.size(); p-- > 0;) {
        work.spend(1 + text.size());
        std::vector<bool> here(text.size() + 1, false);
        const bool is_last = p + 1 == pattern.size();
        for (std::size_t t = text.size(); t-- > 0;) {
            if (pattern[p] != "**")
                here[t] = after[t + 1] && match_segment(text[t], pattern[p], work);
            else if (is_last)
                here[t] = !text[t].starts_with('.') && (t + 1 == text.size() || here[t + 1]);
            else
                here[t] = after[t] || (!text[t].starts_with('.') && here[t + 1]);
        }
        after = std::move(here);
    }
    return after[0];
}

/// A {a,b} of a pattern: where it begins and ends, and its commas. Braces without a comma, or without their partner,
/// are text.
struct Braces {
    std::size_t begin = 0, end = 0;
    std::vector<std::size_t> commas;
};

/// The first of them; nothing when there is none. One walk over the pattern, however many braces are open.
std::optional<Braces> find_braces(std::string_view pattern) {
    std::vector<Braces> open;
    std::optional<Braces> first;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '\\') {
            ++i;
        } else if (c == '{') {
            open.push_back({i, 0, {}});
        } else if (c == ',' && !open.empty()) {
            open.back().commas.push_back(i);
        } else if (c == '}' && !open.empty()) {
            Braces closed = std::move(open.back());
            open.pop_back();
            closed.end = i + 1;
            if (!closed.commas.empty() && (!first || closed.begin < first->begin)) first = std::move(closed);
        }
    }
    return first;
}

/// The pattern once for each alternative of its first braces.
std::vector<std::string> expand(std::string_view pattern, const Braces &braces) {
    std::vector<std::string> out;
    std::size_t from = braces.begin + 1;
    const auto add = [&](std::size_t until) {
        std::string made(pattern.substr(0, braces.begin));
        made += pattern.substr(from, until - from);
        made += pattern.substr(braces.end);
        out.push_back(std::move(made));
        from = until + 1;
    };
    for (const std::size_t comma : braces.commas) add(comma);
    add(braces.end - 1);
    return out;
}

/// Does one of the patterns that the braces stand for match? They are made one by one, not by recursion: a pattern can
/// have as many braces as characters. More than so many are nobody's intention.
bool match_alternatives(std::string_view text, std::string pattern, Work &work) {
    constexpr std::size_t max_patterns = 1000;
    const std::vector<std::string_view> parts = segments(text);
    std::vector<std::string> left{std::move(pattern)};
    for (std::size_t made = 0; !left.empty(); ++made) {
        if (made + left.size() > max_patterns)
            throw Error(errc::invalid_argument, "policy: a glob pattern stands for more than 1000 patterns");
        const std::string next = std::move(left.back());
        left.pop_back();
        work.spend(2 * next.size());
        const std::optional<Braces> braces = find_braces(next);
        if (!braces) {
            if (match_segments(parts, segments(next), work)) return true;
            continue;
        }
        work.spend((1 + braces->commas.size()) * next.size());
        std::vector<std::string> alternatives = expand(next, *braces);
        for (std::size_t i = alternatives.size(); i-- > 0;) left.push_back(std::move(alternatives[i]));
    }
    return false;
}

} // namespace

bool glob_match(std::string_view text, std::string_view pattern, const Poll &poll) {
    if (pattern.size() > max_pattern) throw Error(errc::invalid_argument, "policy: a glob pattern is too long");
    if (pattern.starts_with("*/")) pattern.remove_prefix(1);
    bool negated = false;
    for (; pattern.starts_with('!'); pattern.remove_prefix(1)) negated = !negated;
    if (pattern.starts_with('#') && !negated) return false; // a comment
    if (pattern.empty()) return text.empty() != negated;
    Work work(poll);
    work.spend(text.size());
    return match_alternatives(text, std::string(pattern), work) != negated;
}

} // namespace usher::policy
