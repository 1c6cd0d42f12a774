#include "usher/identity/passwords.hpp"

#include "common/utf8.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "usher/identity/hash_turns.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {

constinit pg::Statement find_in_blocklist{R"(
    SELECT EXISTS (SELECT FROM usher.password_blocklist b
                   WHERE b.password OPERATOR(pg_catalog.=) pg_catalog.lower($1)))",
                                          pg::Access::latest};

/// pgcrypto's crypt(text, text), in whatever schema pgcrypto was installed. Plain frame.
Oid find_crypt() {
    const Oid extension = get_extension_oid("pgcrypto", true);
    if (!OidIsValid(extension)) return InvalidOid;
    const Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
    const SysScanDesc scan = systable_beginscan(catalog, ExtensionOidIndexId, true, nullptr, 1, &key);
    const HeapTuple tuple = systable_getnext(scan);
    const Oid schema =
        HeapTupleIsValid(tuple) ? reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple))->extnamespace : InvalidOid;
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    const Oid types[2] = {TEXTOID, TEXTOID};
    oidvector *const arguments = buildoidvector(types, 2);
    return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("crypt"), PointerGetDatum(arguments),
                           ObjectIdGetDatum(schema));
}

std::string crypt(std::string_view password, std::string_view setting) {
    const Datum hash = pg::call([&] {
        const Oid function = find_crypt();
        if (!OidIsValid(function))
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("extension \"pgcrypto\" is not installed"),
                    errhint("bcrypt needs it: CREATE EXTENSION pgcrypto."));
        text *const secret = cstring_to_text_with_len(password.data(), static_cast<int>(password.size()));
        const Datum result = OidFunctionCall2Coll(
            function, InvalidOid, PointerGetDatum(secret),
            PointerGetDatum(cstring_to_text_with_len(setting.data(), static_cast<int>(setting.size()))));
        explicit_bzero(VARDATA(secret), password.size());
        return result;
    });
    return std::string(pg::text_of(hash));
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// By guc::PasswordAlgorithm.
constexpr std::array configurable{PasswordScheme::argon2id, PasswordScheme::bcrypt};
static_assert(configurable[static_cast<std::size_t>(guc::PasswordAlgorithm::bcrypt)] == PasswordScheme::bcrypt);

bool is_blocked(std::string_view password) {
    const pg::AsOwner owner;
    return find_in_blocklist.run({pg::text(password)}).front().boolean(0);
}

} // namespace

PasswordSettings password_settings() {
    PasswordSettings settings;
    settings.scheme = configurable.at(static_cast<std::size_t>(guc::password_algorithm()));
    settings.argon2_memory_kib = static_cast<std::uint32_t>(guc::argon2_memory);
    settings.argon2_iterations = static_cast<std::uint32_t>(guc::argon2_iterations);
    settings.argon2_parallelism = static_cast<std::uint32_t>(guc::argon2_parallelism);
    settings.bcrypt_rounds = static_cast<std::uint32_t>(guc::bcrypt_rounds);
    return settings;
}

std::string normalize_password(std::string_view password) {
    if (is_ascii(password) || password.size() > password_max_bytes || GetDatabaseEncoding() != PG_UTF8 ||
        !is_valid_utf8(password))
        return std::string(password);
    using CodePoint = std::remove_pointer_t<decltype(unicode_normalize(UNICODE_NFC, nullptr))>; // since 19 another type
    const CodePoint *composed = pg::call([&] {
        auto *const characters = static_cast<CodePoint *>(palloc0((password.size() + 1) * sizeof(CodePoint)));
        const auto *const bytes = reinterpret_cast<const unsigned char *>(password.data());
        std::size_t count = 0;
        for (std::size_t at = 0; at < password.size(); at += static_cast<std::size_t>(pg_utf_mblen(bytes + at)))
            characters[count++] = utf8_to_unicode(bytes + at);
        return static_cast<const CodePoint *>(unicode_normalize(UNICODE_NFC, characters));
    });
    std::string normalized;
    for (; *composed != 0; ++composed) append_utf8(normalized, *composed);
    return normalized;
}

const char *check_new_password(std::string_view password, const PasswordOwner &owner) {
    const std::string normalized = normalize_password(password);
    const PasswordPolicy policy{static_cast<std::size_t>(guc::password_min_length), true};
    if (const char *const code = check_password_policy(normalized, policy, owner)) return code;
    return is_blocked(normalized) ? "password_too_common" : nullptr;
}

std::string hash_new_password(std::string_view password) {
    return hash_password(normalize_password(password), password_settings(), crypt);
}

namespace {
/// Why a hash is not to be evaluated on this server; nullptr when it is. Nobody can interrupt the evaluation, which is
/// one call of a library. What new hashes cost today is always allowed.
const char *refuse_cost(const PasswordHash &hash, const PasswordSettings &settings) {
    const HashCost cost = cost_of(hash), own = cost_of(dummy_password_hash(settings));
    if (cost.time_ms > std::max(static_cast<std::uint64_t>(guc::max_hash_time), own.time_ms))
        return "password hash takes longer than usher.max_hash_time allows";
    if (cost.memory_kib > std::max(static_cast<std::uint64_t>(guc::max_hash_memory), own.memory_kib))
        return "password hash takes more memory than usher.max_hash_memory allows";
    return nullptr;
}
} // namespace

PasswordCheck check_password(std::string_view password, std::string_view stored) {
    const PasswordSettings settings = password_settings();
    ParsedHash parsed = parse_password_hash(stored);
    if (parsed)
        if (const char *const refusal = refuse_cost(*parsed.hash, settings)) {
            pg::call([&] { ereport(LOG, errmsg("%s: its password counts as wrong", refusal)); });
            parsed.hash.reset();
        }
    pg::poll();
    const PasswordHash hash = parsed ? *parsed.hash : dummy_password_hash(settings);
    // Another system may have hashed what was typed. Both forms are always tried, whatever hash it is and whatever the
    // first one gives: how often is decided by the password alone. Nobody has the empty one, whose hash can be
    // imported.
    const std::string normalized = normalize_password(password);
    const bool as_given = normalized != password && verify_password(password, hash, crypt);
    const bool is_composed = verify_password(normalized, hash, crypt);
    const bool matches = (as_given || is_composed) && parsed && !password.empty();
    return {matches, matches && (!is_composed || needs_rehash(hash, settings))};
}

void require_importable_hash(std::string_view hash) {
    const ParsedHash parsed = parse_password_hash(hash);
    if (!parsed) throw Error(errc::invalid_argument, parsed.error);
    if (const char *const refusal = refuse_cost(*parsed.hash, password_settings()))
        throw Error(errc::invalid_argument, refusal);
}

} // namespace usher::identity

using namespace usher;

namespace {
[[noreturn]] void refuse_hash() {
    throw Error(errc::too_many_hashes, "too many passwords are being hashed at this moment", {},
                "Try again, or raise usher.max_concurrent_hashes or usher.hash_wait.");
}
} // namespace

/// usher.hash_password(password)
USHER_FUNCTION(usher_identity_hash_password) {
    const pg::Args args(fcinfo);
    if (args.text(0).empty()) throw Error(errc::invalid_argument, "password must not be empty");
    const identity::HashTurn turn(identity::HashFor::everything_else);
    if (!turn) refuse_hash();
    return pg::result(pg::text(identity::hash_new_password(args.text(0))));
}

/// usher.verify_password(password, hash)
USHER_FUNCTION(usher_identity_verify_password) {
    const pg::Args args(fcinfo);
    if (!args.is_null(1)) identity::require_importable_hash(args.text(1));
    const bool known = !args.is_null(0) && !args.is_null(1);
    const identity::HashTurn turn(identity::HashFor::everything_else);
    if (!turn) refuse_hash();
    // Null costs as much as a wrong password.
    return pg::result(pg::boolean(
        identity::check_password(args.optional_text(0).value_or(""), args.optional_text(1).value_or("")).matches &&
        known));
}

/// usher.password_needs_rehash(hash)
USHER_FUNCTION(usher_identity_password_needs_rehash) {
    const pg::Args args(fcinfo);
    identity::require_importable_hash(args.text(0));
    return pg::result(
        pg::boolean(needs_rehash(*parse_password_hash(args.text(0)).hash, identity::password_settings())));
}
