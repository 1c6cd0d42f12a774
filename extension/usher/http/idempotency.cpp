#include "usher/http/idempotency.hpp"
#include "common/digest.hpp"
#include "pg/args.hpp"
#include "pg/spi.hpp"
#include "usher/limits/limits.hpp"
#include "usher/operations/settings.hpp"
#include "usher/request/current_identity.hpp"

namespace usher::http {

namespace {
constinit pg::Statement find{R"(
    SELECT a.fingerprint, a.status, a.headers::pg_catalog.text, a.body
    FROM usher.idempotent_answers a
    WHERE a.principal OPERATOR(pg_catalog.=) $1 AND a.key_hash OPERATOR(pg_catalog.=) $2
      AND a.created_at OPERATOR(pg_catalog.>) (
          pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(hours => $3)))"};
constinit pg::Statement store{R"(
    INSERT INTO usher.idempotent_answers AS a (principal, key_hash, fingerprint, status, headers, body)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (principal, key_hash) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status,
        headers = EXCLUDED.headers, body = EXCLUDED.body, created_at = pg_catalog.now())"};

// Held until the end of the transaction, also when it fails.
bool try_lock(std::string_view principal, std::string_view key_hash) {
    const Sha256 digest = sha256(std::string(principal) + '\0' + std::string(key_hash));
    std::int64_t number;
    std::memcpy(&number, digest.data(), sizeof number);
    return pg::call(
        [&] { return DatumGetBool(DirectFunctionCall1(pg_try_advisory_xact_lock_int8, Int64GetDatum(number))); });
}
} // namespace

std::optional<Answer> StoredAnswer::begin(const Request &request, std::string_view key) {
    const request::Identity *const who = request::current();
    principal_ =
        who != nullptr ? "user:" + to_string(who->user_id) : "address:" + limits::address_key(request.client_ip);
    key_hash_ = sha256_bytes(key);
    std::string text;
    for (const std::string_view part : {request.method, request.path, request.query, request.body}) {
        text += std::to_string(part.size()) + ':';
        text += part;
    }
    fingerprint_ = sha256_bytes(text);
    if (!try_lock(principal_, key_hash_)) {
        Problem refusal = problem(errc::idempotency_in_progress);
        refusal.retry_after = 1;
        return refuse(request, refusal);
    }
    const pg::AsOwner owner;
    const pg::Rows rows = find.run({pg::text(principal_), pg::bytea(key_hash_), pg::int4(guc::idempotency_retention)});
    if (rows.empty()) return std::nullopt;
    const pg::Row row = rows.front();
    if (row.text(0) != fingerprint_) return refuse(request, problem(errc::idempotency_mismatch));
    Answer answer;
    answer.status = row.int4(1);
    json::Document headers;
    if (headers.parse(row.text(2)))
        for (const json::Member member : headers.root().members()) answer.add(member.key(), member.value.as_string());
    answer.body = row.optional_text(3).value_or("");
    answer.add("Idempotency-Replayed", "true");
    return answer;
}

void StoredAnswer::keep(const Answer &answer) const {
    if (principal_.empty() || answer.status >= 300) return;
    std::string headers = "{";
    for (const auto &[name, value] : answer.headers)
        headers += (headers.size() > 1 ? "," : "") + json::quote(name) + ':' + json::quote(value);
    headers += '}';
    const pg::AsOwner owner;
    store.run({pg::text(principal_), pg::bytea(key_hash_), pg::bytea(fingerprint_), pg::int4(answer.status),
               pg::jsonb(headers), pg::text(answer.body)});
}

} // namespace usher::http
