// Hash strings and their evaluation; the policy for new passwords is in password_policy.cpp.
#include "usher/identity/password.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <new>
#include <vector>

#include <argon2.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "common/error.hpp"
#include "common/hmac.hpp"
#include "common/random.hpp"
#include "common/text.hpp"

namespace usher {

namespace {

constexpr std::size_t max_hash_text = 512;
constexpr std::size_t max_salt = 64, max_digest = 64, min_digest = 16;

// Cost caps: a hash string that somebody imports must not be able to stop the server.
constexpr std::uint32_t max_argon2_memory_kib = 1024 * 1024, max_argon2_iterations = 20, max_argon2_parallelism = 16;
constexpr std::uint32_t max_scrypt_log2 = 17, max_scrypt_block = 32, max_scrypt_parallelism = 16;
constexpr std::uint64_t max_scrypt_work = std::uint64_t{1} << 23; // N * r * p: eight times the strongest recommendation
constexpr std::uint64_t max_scrypt_memory = std::uint64_t{1} << 30;
constexpr std::uint32_t max_pbkdf2_iterations = 10'000'000;
constexpr std::uint32_t min_bcrypt_rounds = 4, max_bcrypt_rounds = 15;

constexpr std::size_t salt_bytes = 16, digest_bytes = 32; // of new Argon2 hashes
constexpr std::size_t bcrypt_max_password = 72;
constexpr std::size_t bcrypt_salt_chars = 22, bcrypt_digest_chars = 31;
constexpr std::string_view bcrypt_alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

ParsedHash malformed(std::string error) { return {std::nullopt, std::move(error)}; }

using Parts = std::vector<std::string_view>;

/// Parts between the separators; "a$$b" has an empty one in the middle.
Parts split(std::string_view text, char separator) {
    Parts parts;
    for (;;) {
        const std::size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

/// Decimal without sign and leading zeros.
std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || result.ec != std::errc{} || result.ptr != text.data() + text.size() ||
        (text.size() > 1 && text[0] == '0'))
        return std::nullopt;
    return value;
}

/// "m=1,t=2" with exactly these names in this order.
bool parameters(std::string_view text, std::initializer_list<std::pair<char, std::uint32_t *>> wanted) {
    const auto parts = split(text, ',');
    if (parts.size() != wanted.size()) return false;
    std::size_t i = 0;
    for (const auto &[name, out] : wanted) {
        const std::string_view part = parts[i++];
        if (part.size() < 3 || part[0] != name || part[1] != '=') return false;
        const auto value = number(part.substr(2));
        if (!value) return false;
        *out = *value;
    }
    return true;
}

std::string over(const char *what, std::uint64_t value, std::uint64_t limit) {
    return std::string(what) + " of " + std::to_string(value) + " is over the limit of " + std::to_string(limit);
}

/// Salt and digest of a PHC string, both in base64 without padding.
bool salt_and_digest(std::string_view salt, std::string_view digest, PasswordHash &out) {
    auto s = base64_decode(salt, Padding::none);
    auto d = base64_decode(digest, Padding::none);
    if (!s || !d) return false;
    out.salt = std::move(*s);
    out.digest = std::move(*d);
    return true;
}

ParsedHash checked(PasswordHash hash) {
    if (hash.salt.empty() || hash.salt.size() > max_salt)
        return malformed("password hash has a salt of " + std::to_string(hash.salt.size()) + " bytes");
    if (hash.digest.size() < min_digest || hash.digest.size() > max_digest)
        return malformed("password hash has a digest of " + std::to_string(hash.digest.size()) + " bytes");
    return {std::move(hash), {}};
}

// --- One parser for each form ---------------------------------------------------------------------------------

ParsedHash parse_argon2(const Parts &parts, PasswordHash hash) {
    // $argon2id$v=19$m=19456,t=2,p=1$salt$digest
    std::uint32_t version = 0;
    if (parts.size() != 6 || !parameters(parts[2], {{'v', &version}}) ||
        !parameters(parts[3], {{'m', &hash.memory_kib}, {'t', &hash.iterations}, {'p', &hash.parallelism}}) ||
        !salt_and_digest(parts[4], parts[5], hash))
        return malformed("malformed Argon2 hash");
    if (version != ARGON2_VERSION_13) return malformed("Argon2 hash of a version that is not supported");
    if (hash.memory_kib > max_argon2_memory_kib)
        return malformed(over("Argon2 memory in KiB", hash.memory_kib, max_argon2_memory_kib));
    if (hash.iterations > max_argon2_iterations)
        return malformed(over("Argon2 iteration count", hash.iterations, max_argon2_iterations));
    if (hash.parallelism > max_argon2_parallelism)
        return malformed(over("Argon2 parallelism", hash.parallelism, max_argon2_parallelism));
    if (hash.iterations < 1 || hash.parallelism < 1 || hash.memory_kib < 8 * hash.parallelism || hash.salt.size() < 8)
        return malformed("Argon2 hash with a parameter below the minimum");
    return checked(std::move(hash));
}

ParsedHash check_scrypt(PasswordHash hash) {
    if (hash.iterations > max_scrypt_log2) return malformed(over("scrypt log2(N)", hash.iterations, max_scrypt_log2));
    if (hash.block_size > max_scrypt_block)
        return malformed(over("scrypt block size", hash.block_size, max_scrypt_block));
    if (hash.parallelism > max_scrypt_parallelism)
        return malformed(over("scrypt parallelism", hash.parallelism, max_scrypt_parallelism));
    if (hash.iterations < 1 || hash.block_size < 1 || hash.parallelism < 1)
        return malformed("scrypt hash with a parameter below the minimum");
    const std::uint64_t n = std::uint64_t{1} << hash.iterations;
    if (n * hash.block_size * hash.parallelism > max_scrypt_work)
        return malformed(over("scrypt N*r*p", n * hash.block_size * hash.parallelism, max_scrypt_work));
    if (128 * n * hash.block_size > max_scrypt_memory)
        return malformed(over("scrypt memory", 128 * n * hash.block_size, max_scrypt_memory));
    return checked(std::move(hash));
}

ParsedHash parse_scrypt(const Parts &parts, PasswordHash hash) {
    // $scrypt$ln=17,r=8,p=1$salt$digest
    if (parts.size() != 5) return malformed("malformed scrypt hash");
    const auto fields = split(parts[2], ',');
    std::optional<std::uint32_t> log2;
    if (fields.size() == 3 && fields[0].substr(0, 3) == "ln=") log2 = number(fields[0].substr(3));
    if (!log2 ||
        !parameters(parts[2].substr(fields[0].size() + 1), {{'r', &hash.block_size}, {'p', &hash.parallelism}}) ||
        !salt_and_digest(parts[3], parts[4], hash))
        return malformed("malformed scrypt hash");
    hash.iterations = *log2;
    return check_scrypt(std::move(hash));
}

ParsedHash parse_django_scrypt(const Parts &parts, PasswordHash hash) {
    // scrypt$salt$16384$8$5$digest
    if (parts.size() != 6) return malformed("malformed scrypt hash");
    const auto n = number(parts[2]), r = number(parts[3]), p = number(parts[4]);
    auto digest = base64_decode(parts[5]);
    if (!n || !r || !p || !digest || *n < 2 || (*n & (*n - 1)) != 0) return malformed("malformed scrypt hash");
    while ((std::uint64_t{1} << hash.iterations) < *n) ++hash.iterations;
    hash.block_size = *r;
    hash.parallelism = *p;
    hash.salt = parts[1];
    hash.digest = std::move(*digest);
    return check_scrypt(std::move(hash));
}

ParsedHash check_pbkdf2(PasswordHash hash) {
    if (hash.iterations > max_pbkdf2_iterations)
        return malformed(over("PBKDF2 iteration count", hash.iterations, max_pbkdf2_iterations));
    if (hash.iterations < 1) return malformed("PBKDF2 hash with a parameter below the minimum");
    return checked(std::move(hash));
}

ParsedHash parse_pbkdf2(const Parts &parts, PasswordHash hash) {
    // $pbkdf2-sha256$i=600000,l=32$salt$digest (PHC), or $pbkdf2-sha256$29000$salt$digest with '.' for '+' (passlib)
    if (parts.size() != 5) return malformed("malformed PBKDF2 hash");
    std::string salt(parts[3]), digest(parts[4]);
    std::uint32_t length = 0;
    if (const auto rounds = number(parts[2])) {
        hash.iterations = *rounds;
        for (std::string *text : {&salt, &digest})
            for (char &c : *text) {
                if (c == '+') return malformed("malformed PBKDF2 hash");
                if (c == '.') c = '+';
            }
    } else if (!parameters(parts[2], {{'i', &hash.iterations}, {'l', &length}}) &&
               !parameters(parts[2], {{'i', &hash.iterations}})) {
        return malformed("malformed PBKDF2 hash");
    }
    if (!salt_and_digest(salt, digest, hash) || (length != 0 && length != hash.digest.size()))
        return malformed("malformed PBKDF2 hash");
    return check_pbkdf2(std::move(hash));
}

ParsedHash parse_django_pbkdf2(const Parts &parts, PasswordHash hash) {
    // pbkdf2_sha256$600000$salt$digest: the salt is taken as it stands, the digest is padded base64
    if (parts.size() != 4) return malformed("malformed PBKDF2 hash");
    const auto rounds = number(parts[1]);
    auto digest = base64_decode(parts[3]);
    if (!rounds || !digest) return malformed("malformed PBKDF2 hash");
    hash.iterations = *rounds;
    hash.salt = parts[2];
    hash.digest = std::move(*digest);
    return check_pbkdf2(std::move(hash));
}

bool is_bcrypt_base64(std::string_view text) {
    return text.find_first_not_of(bcrypt_alphabet) == std::string_view::npos;
}

std::optional<std::uint32_t> two_digits(std::string_view text) {
    if (text.size() != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') return std::nullopt;
    return static_cast<std::uint32_t>((text[0] - '0') * 10 + (text[1] - '0'));
}

ParsedHash check_bcrypt(PasswordHash hash) {
    if (hash.iterations > max_bcrypt_rounds)
        return malformed(over("bcrypt round number", hash.iterations, max_bcrypt_rounds));
    if (hash.iterations < min_bcrypt_rounds) return malformed("bcrypt hash with a parameter below the minimum");
    return {std::move(hash), {}};
}

ParsedHash parse_bcrypt(const Parts &parts, PasswordHash hash) {
    // $2b$12$ and 22 characters of salt and 31 of digest
    const auto rounds = parts.size() == 4 ? two_digits(parts[2]) : std::nullopt;
    if (!rounds || parts[3].size() != bcrypt_salt_chars + bcrypt_digest_chars || !is_bcrypt_base64(parts[3]))
        return malformed("malformed bcrypt hash");
    hash.iterations = *rounds;
    hash.salt = parts[3].substr(0, bcrypt_salt_chars);
    hash.digest = parts[3].substr(bcrypt_salt_chars);
    return check_bcrypt(std::move(hash));
}

ParsedHash parse_bcrypt_sha256(const Parts &parts, PasswordHash hash) {
    // $bcrypt-sha256$v=2,t=2b,r=12$salt$digest (passlib)
    constexpr std::string_view prefix = "v=2,t=2b,r=";
    if (parts.size() != 5 || parts[2].substr(0, prefix.size()) != prefix)
        return malformed("malformed bcrypt-sha256 hash");
    const auto rounds = number(parts[2].substr(prefix.size()));
    if (!rounds || parts[3].size() != bcrypt_salt_chars || parts[4].size() != bcrypt_digest_chars ||
        !is_bcrypt_base64(parts[3]) || !is_bcrypt_base64(parts[4]))
        return malformed("malformed bcrypt-sha256 hash");
    hash.iterations = *rounds;
    hash.salt = parts[3];
    hash.digest = parts[4];
    return check_bcrypt(std::move(hash));
}

// --- Evaluation -----------------------------------------------------------------------------------------------

template <argon2_type type>
std::string argon2_digest(std::string_view password, const PasswordHash &hash, const BcryptFunction &) {
    const std::size_t size = hash.digest.size();
    std::string digest(size, '\0');
    argon2_context context{};
    context.out = bytes_of(digest);
    context.outlen = static_cast<std::uint32_t>(size);
    context.pwd = const_cast<std::uint8_t *>(bytes_of(password));
    context.pwdlen = static_cast<std::uint32_t>(password.size());
    context.salt = const_cast<std::uint8_t *>(bytes_of(std::string_view(hash.salt)));
    context.saltlen = static_cast<std::uint32_t>(hash.salt.size());
    context.t_cost = hash.iterations;
    context.m_cost = hash.memory_kib;
    context.lanes = hash.parallelism;
    context.threads = 1; // a backend has no place for threads; the lanes give the same digest one after the other
    context.version = ARGON2_VERSION_13;
    context.flags = ARGON2_DEFAULT_FLAGS;
    const int result = argon2_ctx(&context, type);
    if (result == ARGON2_MEMORY_ALLOCATION_ERROR) throw std::bad_alloc{};
    if (result != ARGON2_OK)
        throw Error("XX000", std::string("could not compute Argon2: ") + argon2_error_message(result));
    return digest;
}

std::string scrypt_digest(std::string_view password, const PasswordHash &hash, const BcryptFunction &) {
    const std::size_t size = hash.digest.size();
    std::string digest(size, '\0');
    const std::uint64_t n = std::uint64_t{1} << hash.iterations;
    const std::uint64_t memory = std::uint64_t{128} * hash.block_size * (n + hash.parallelism + 2) + 65536;
    if (EVP_PBE_scrypt(password.data(), password.size(), bytes_of(std::string_view(hash.salt)), hash.salt.size(), n,
                       hash.block_size, hash.parallelism, memory, bytes_of(digest), size) != 1) {
        ERR_clear_error();
        throw Error("XX000", "could not compute scrypt");
    }
    return digest;
}

template <const EVP_MD *(*md)()>
std::string pbkdf2_digest(std::string_view password, const PasswordHash &hash, const BcryptFunction &) {
    const std::size_t size = hash.digest.size();
    std::string digest(size, '\0');
    if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(std::string_view(hash.salt)),
                          static_cast<int>(hash.salt.size()), static_cast<int>(hash.iterations), md(),
                          static_cast<int>(size), bytes_of(digest)) != 1) {
        ERR_clear_error();
        throw Error("XX000", "could not compute PBKDF2");
    }
    return digest;
}

// --- Costs, on a slow core of today (measured on 2.1 GHz without SHA instructions) --------------------------------

HashCost argon2_cost(const PasswordHash &hash) noexcept {
    return {std::uint64_t{hash.memory_kib} * hash.iterations * 3 / 1024, hash.memory_kib};
}

HashCost scrypt_cost(const PasswordHash &hash) noexcept {
    const std::uint64_t n = std::uint64_t{1} << hash.iterations;
    return {n * hash.block_size * hash.parallelism / 2048, n * hash.block_size / 8};
}

HashCost pbkdf2_cost(const PasswordHash &hash) noexcept { return {hash.iterations / 1024, 0}; }

HashCost bcrypt_cost(const PasswordHash &hash) noexcept { return {(std::uint64_t{1} << hash.iterations) / 7, 4}; }

std::string two_digit_text(std::uint32_t value) {
    return {static_cast<char>('0' + value / 10), static_cast<char>('0' + value % 10)};
}

/// The 31 characters of bcrypt's digest.
std::string bcrypt_digest(std::string_view password, const PasswordHash &hash, const BcryptFunction &bcrypt) {
    if (!bcrypt) throw Error("55000", "bcrypt is not available", {}, "Install the extension pgcrypto.");
    // "$2a$" is how pgcrypto calls what others call "$2b$" and "$2y$": bcrypt without the sign extension bug.
    const std::string setting = "$2a$" + two_digit_text(hash.iterations) + '$' + hash.salt;
    std::string whole = bcrypt(password, setting);
    if (whole.size() != setting.size() + bcrypt_digest_chars) throw Error("XX000", "could not compute bcrypt");
    return whole.substr(setting.size());
}

/// bcrypt-sha256 (passlib, version 2) feeds bcrypt what is short whatever the password's length, and has no zero bytes.
std::string prehashed_bcrypt_digest(std::string_view password, const PasswordHash &hash, const BcryptFunction &bcrypt) {
    return bcrypt_digest(base64_encode(hmac_sha256(hash.salt, password)), hash, bcrypt);
}

std::string bcrypt_salt() {
    const std::string bytes = random_bytes(salt_bytes);
    std::string salt;
    std::uint32_t pending = 0;
    int bits = 0;
    for (const char byte : bytes) {
        pending = pending << 8 | static_cast<unsigned char>(byte);
        for (bits += 8; bits >= 6; bits -= 6) salt += bcrypt_alphabet[pending >> (bits - 6) & 63];
    }
    salt += bcrypt_alphabet[pending << (6 - bits) & 63];
    return salt;
}

// --- How new hashes are made ------------------------------------------------------------------------------------

std::string argon2id_text(const PasswordHash &hash) {
    return "$argon2id$v=19$m=" + std::to_string(hash.memory_kib) + ",t=" + std::to_string(hash.iterations) +
           ",p=" + std::to_string(hash.parallelism) + '$' + base64_encode(hash.salt, Padding::none) + '$' +
           base64_encode(hash.digest, Padding::none);
}

bool allows_argon2id(const PasswordSettings &s) {
    return s.argon2_memory_kib >= 8 * s.argon2_parallelism && s.argon2_memory_kib <= max_argon2_memory_kib &&
           s.argon2_iterations >= 1 && s.argon2_iterations <= max_argon2_iterations && s.argon2_parallelism >= 1 &&
           s.argon2_parallelism <= max_argon2_parallelism;
}

PasswordHash argon2id_dummy(const PasswordSettings &settings) {
    PasswordHash hash;
    hash.scheme = PasswordScheme::argon2id;
    hash.memory_kib = settings.argon2_memory_kib;
    hash.iterations = settings.argon2_iterations;
    hash.parallelism = settings.argon2_parallelism;
    // Finding a password with this digest is as hard as breaking any other hash.
    hash.salt.assign(salt_bytes, '\x5a');
    hash.digest.assign(digest_bytes, '\0');
    hash.text = argon2id_text(hash);
    return hash;
}

std::string new_argon2id(std::string_view password, const PasswordSettings &settings, const BcryptFunction &bcrypt) {
    PasswordHash hash = argon2id_dummy(settings);
    hash.salt = random_bytes(salt_bytes);
    hash.digest = argon2_digest<Argon2_id>(password, hash, bcrypt);
    return argon2id_text(hash);
}

bool is_weaker_argon2id(const PasswordHash &hash, const PasswordSettings &settings) {
    return hash.scheme != PasswordScheme::argon2id || hash.memory_kib < settings.argon2_memory_kib ||
           hash.iterations < settings.argon2_iterations || hash.salt.size() < salt_bytes ||
           hash.digest.size() < digest_bytes;
}

bool allows_bcrypt(const PasswordSettings &s) {
    return s.bcrypt_rounds >= min_bcrypt_rounds && s.bcrypt_rounds <= max_bcrypt_rounds;
}

PasswordHash bcrypt_dummy(const PasswordSettings &settings) {
    PasswordHash hash;
    hash.scheme = PasswordScheme::bcrypt;
    hash.iterations = settings.bcrypt_rounds;
    hash.salt.assign(bcrypt_salt_chars, '.');
    hash.digest.assign(bcrypt_digest_chars, '.');
    hash.text = "$2b$" + two_digit_text(settings.bcrypt_rounds) + '$' + hash.salt + hash.digest;
    return hash;
}

std::string new_bcrypt(std::string_view password, const PasswordSettings &settings, const BcryptFunction &bcrypt) {
    PasswordHash hash = bcrypt_dummy(settings);
    hash.salt = bcrypt_salt();
    const std::string rounds = two_digit_text(hash.iterations);
    if (password.size() <= bcrypt_max_password)
        return "$2b$" + rounds + '$' + hash.salt + bcrypt_digest(password, hash, bcrypt);
    return "$bcrypt-sha256$v=2,t=2b,r=" + std::to_string(hash.iterations) + '$' + hash.salt + '$' +
           prehashed_bcrypt_digest(password, hash, bcrypt);
}

bool is_weaker_bcrypt(const PasswordHash &hash, const PasswordSettings &settings) {
    const bool is_bcrypt = hash.scheme == PasswordScheme::bcrypt || hash.scheme == PasswordScheme::bcrypt_sha256;
    return !is_bcrypt || hash.iterations < settings.bcrypt_rounds;
}

// --- The tables ---------------------------------------------------------------------------------------------------

struct Maker {
    bool (*allows)(const PasswordSettings &settings); // are they in range?
    std::string (*make)(std::string_view password, const PasswordSettings &settings, const BcryptFunction &bcrypt);
    bool (*is_weaker)(const PasswordHash &hash, const PasswordSettings &settings);
    PasswordHash (*dummy)(const PasswordSettings &settings); // a hash that no password matches
};
constexpr Maker argon2id_maker{allows_argon2id, new_argon2id, is_weaker_argon2id, argon2id_dummy};
constexpr Maker bcrypt_maker{allows_bcrypt, new_bcrypt, is_weaker_bcrypt, bcrypt_dummy};

struct Scheme {
    PasswordScheme id;
    std::string_view name;
    std::string (*digest)(std::string_view password, const PasswordHash &hash, const BcryptFunction &bcrypt);
    HashCost (*cost)(const PasswordHash &hash) noexcept;
    std::size_t max_password; // a longer one is wrong: never cut
    const Maker *maker;       // nullptr: such hashes are taken over from elsewhere, and verified
};
// By PasswordScheme.
constexpr std::array schemes{
    Scheme{PasswordScheme::argon2id, "argon2id", argon2_digest<Argon2_id>, argon2_cost, password_max_bytes,
           &argon2id_maker},
    Scheme{PasswordScheme::argon2i, "argon2i", argon2_digest<Argon2_i>, argon2_cost, password_max_bytes, nullptr},
    Scheme{PasswordScheme::scrypt, "scrypt", scrypt_digest, scrypt_cost, password_max_bytes, nullptr},
    Scheme{PasswordScheme::pbkdf2_sha256, "pbkdf2-sha256", pbkdf2_digest<EVP_sha256>, pbkdf2_cost, password_max_bytes,
           nullptr},
    Scheme{PasswordScheme::pbkdf2_sha512, "pbkdf2-sha512", pbkdf2_digest<EVP_sha512>, pbkdf2_cost, password_max_bytes,
           nullptr},
    Scheme{PasswordScheme::bcrypt, "bcrypt", bcrypt_digest, bcrypt_cost, bcrypt_max_password, &bcrypt_maker},
    Scheme{PasswordScheme::bcrypt_sha256, "bcrypt-sha256", prehashed_bcrypt_digest, bcrypt_cost, password_max_bytes,
           nullptr},
};
static_assert(std::ranges::all_of(schemes, [](const Scheme &each) {
    return &each - schemes.data() == static_cast<std::ptrdiff_t>(each.id);
}));

const Scheme &entry_of(PasswordScheme scheme) noexcept { return schemes[static_cast<std::size_t>(scheme)]; }

const Maker &maker_of(const PasswordSettings &settings) {
    const Maker *const maker = entry_of(settings.scheme).maker;
    if (maker == nullptr || !maker->allows(settings)) throw Error("22023", "password hash settings are out of range");
    return *maker;
}

/// The ways in which hashes are written. What stands between the first dollar signs, or before the first, tells which.
struct Form {
    std::string_view mark;
    bool is_after_dollar;
    PasswordScheme scheme;
    ParsedHash (*parse)(const Parts &parts, PasswordHash hash);
};
constexpr std::array forms{
    Form{"argon2id", true, PasswordScheme::argon2id, parse_argon2},
    Form{"argon2i", true, PasswordScheme::argon2i, parse_argon2},
    Form{"scrypt", true, PasswordScheme::scrypt, parse_scrypt},
    Form{"pbkdf2-sha256", true, PasswordScheme::pbkdf2_sha256, parse_pbkdf2},
    Form{"pbkdf2-sha512", true, PasswordScheme::pbkdf2_sha512, parse_pbkdf2},
    Form{"2a", true, PasswordScheme::bcrypt, parse_bcrypt},
    Form{"2b", true, PasswordScheme::bcrypt, parse_bcrypt},
    Form{"2y", true, PasswordScheme::bcrypt, parse_bcrypt},
    Form{"bcrypt-sha256", true, PasswordScheme::bcrypt_sha256, parse_bcrypt_sha256},
    Form{"pbkdf2_sha256", false, PasswordScheme::pbkdf2_sha256, parse_django_pbkdf2},
    Form{"pbkdf2_sha512", false, PasswordScheme::pbkdf2_sha512, parse_django_pbkdf2},
    Form{"scrypt", false, PasswordScheme::scrypt, parse_django_scrypt},
};

} // namespace

std::string_view to_string(PasswordScheme scheme) noexcept { return entry_of(scheme).name; }

std::vector<PasswordScheme> password_schemes() {
    std::vector<PasswordScheme> all;
    for (const Scheme &each : schemes) all.push_back(each.id);
    return all;
}

HashCost cost_of(const PasswordHash &hash) noexcept { return entry_of(hash.scheme).cost(hash); }

bool makes_new_hashes(PasswordScheme scheme) noexcept { return entry_of(scheme).maker != nullptr; }

ParsedHash parse_password_hash(std::string_view text) {
    if (text.empty()) return malformed("password hash is empty");
    if (text.size() > max_hash_text) return malformed("password hash is longer than 512 bytes");
    if (text.starts_with("argon2$argon2")) text.remove_prefix(6); // Django writes its own name
    if (text.starts_with("bcrypt$$2")) text.remove_prefix(7);     // before these two
    PasswordHash hash;
    hash.text = text;
    const Parts parts = split(hash.text, '$');
    const bool is_after_dollar = parts[0].empty() && parts.size() > 1;
    const std::string_view mark = parts[is_after_dollar ? 1 : 0];
    for (const Form &form : forms) {
        if (form.is_after_dollar != is_after_dollar || form.mark != mark) continue;
        hash.scheme = form.scheme;
        return form.parse(parts, hash);
    }
    return malformed("password hash is of a kind that is not supported");
}

std::string hash_password(std::string_view password, const PasswordSettings &settings, const BcryptFunction &bcrypt) {
    if (password.size() > password_max_bytes) throw Error("22023", "password is longer than 1024 bytes");
    if (password.find('\0') != std::string_view::npos) throw Error("22023", "password contains a zero byte");
    return maker_of(settings).make(password, settings, bcrypt);
}

bool verify_password(std::string_view password, const PasswordHash &hash, const BcryptFunction &bcrypt) {
    const Scheme &scheme = entry_of(hash.scheme);
    // A password that can never be right is evaluated all the same, as an empty one, so that the time does not tell.
    const bool possible = password.size() <= scheme.max_password && password.find('\0') == std::string_view::npos;
    const std::string digest = scheme.digest(possible ? password : std::string_view{}, hash, bcrypt);
    return constant_time_equal(digest, hash.digest) && possible;
}

bool needs_rehash(const PasswordHash &hash, const PasswordSettings &settings) {
    const Maker *const maker = entry_of(settings.scheme).maker;
    return maker == nullptr || maker->is_weaker(hash, settings);
}

PasswordHash dummy_password_hash(const PasswordSettings &settings) { return maker_of(settings).dummy(settings); }

} // namespace usher
