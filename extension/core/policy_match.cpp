#include "core/policy_match.hpp"
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <vector>

namespace usher::policy {

namespace {

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
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
    const std::string stars = replace_all(std::string(pattern), "/*", "/.*");
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
    return whole(replace_braces(replace_all(std::string(pattern), "/*", "/.*"),
                                [](std::string_view) { return std::string("[^/]+"); }));
}

std::string key_match4_regex(std::string_view pattern) {
    std::vector<std::string> seen;
    return whole(replace_braces(replace_all(std::string(pattern), "/*", "/.*"), [&](std::string_view name) {
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

bool glob_match(std::string_view text, std::string_view pattern) {
    constexpr std::size_t none = std::string_view::npos;
    std::size_t t = 0;
    std::size_t p = 0;
    std::size_t star_p = none; // after the last star, and what it has taken so far
    std::size_t star_t = 0;
    while (t < text.size() || p < pattern.size()) {
        bool matched = false;
        if (p < pattern.size() && pattern[p] == '*') {
            star_p = ++p;
            star_t = t;
            continue;
        }
        if (p < pattern.size() && t < text.size()) {
            if (pattern[p] == '?') {
                matched = text[t] != '/';
                ++p;
            } else if (pattern[p] == '[') {
                bool malformed = false;
                matched = match_class(pattern, p, text[t], malformed) && text[t] != '/';
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
        // the last star takes one more, but never a slash
        if (star_p == none || star_t >= text.size() || text[star_t] == '/') return false;
        t = ++star_t;
        p = star_p;
    }
    return true;
}

} // namespace usher::policy
