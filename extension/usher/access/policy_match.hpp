// The matching functions of policy models: keyMatch 1 to 5, regexMatch, ipMatch, globMatch, with the meaning that
// Casbin gives them. Those that are regular expressions there are turned into one here; matching it is the caller's,
// because the standard library's matcher overflows the stack on hostile input.
#pragma once
#include "common/poll.hpp"
#include <string>
#include <string_view>

namespace usher::policy {

/// Bytes of a pattern. The work of matching grows with it, and so does a regular expression that is made of it.
inline constexpr std::size_t max_pattern = 4096;

/// "/alice/*": everything up to the star must be equal, the rest may be anything.
bool key_match(std::string_view key, std::string_view pattern);
/// "/users/:id" and "/users/*" as a regular expression for the whole key.
std::string key_match2_regex(std::string_view pattern);
/// "/users/{id}" and "/users/*".
std::string key_match3_regex(std::string_view pattern);
/// "/parent/{id}/child/{id}": the same name must stand for the same text.
std::string key_match4_regex(std::string_view pattern);
/// As 3; the key's query string does not count.
std::string key_match5_regex(std::string_view pattern);
std::string_view without_query(std::string_view key);

/// An address against an address or a network in CIDR notation, IPv4 or IPv6. False when either is malformed.
bool ip_match(std::string_view address, std::string_view network);

/// Shell pattern over path segments, as npm casbin understands them: * and ? stay within a segment and do not stand for
/// a dot at its beginning, ** is any number of segments, [a-z] and [^a-z], {a,b}, a leading ! negates, backslash
/// quotes. False for a malformed pattern. Throws 22023 for one that is longer than max_pattern, whose braces stand for
/// more than 1000 patterns, or that takes more than a fraction of a second; polls every millisecond or so.
bool glob_match(std::string_view text, std::string_view pattern, const Poll &poll = {});

} // namespace usher::policy
