#include "usher/http/problem.hpp"
#include "common/json.hpp"
#include "usher/registration/registered_errors.hpp"

namespace usher::http {

namespace {
struct Mapping {
    std::string_view prefix; // of SQLSTATEs; the first match counts
    const ErrorCode &code;
    std::int64_t retry_after;
};
constexpr std::array<Mapping, 15> mappings{{
    {"22023", errc::invalid_argument, 0},
    {"23505", errc::conflict, 0},
    {"23503", errc::conflict, 0},
    {"23P01", errc::conflict, 0},
    {"23502", errc::invalid_value, 0},
    {"23514", errc::invalid_value, 0},
    {"22", errc::invalid_value, 0},
    {"08", errc::unavailable, 1},
    {"53", errc::unavailable, 5},
    {"55P03", errc::unavailable, 1}, // lock_timeout, NOWAIT
    {"40001", errc::unavailable, 1}, // serialization failure, deadlock: the same request may work
    {"40P01", errc::unavailable, 1},
    {"57014", errc::timeout, 0},
    {"57P", errc::unavailable, 1},
    {"", errc::internal_error, 0},
}};

// DETAIL of our own errors is a JSON object; that of the server's is text about rows.
std::string json_object_or_empty(std::string_view text) {
    json::Document document;
    if (text.empty() || !document.parse(text) || !document.root().is_object()) return {};
    return std::string(text);
}
} // namespace

Problem problem(const ErrorCode &code, std::string detail) {
    Problem made;
    made.status = code.http_status;
    made.code = code.name;
    made.title = code.description;
    made.detail = std::move(detail);
    made.challenge = code.http_status == 401;
    made.is_fault = code.http_status == 500;
    return made;
}

Problem problem_of(std::string_view sqlstate, std::string_view message, std::string_view detail, bool has_identity,
                   bool in_recovery) {
    // During a failover a write can reach a server that is about to be promoted: the same request may work soon.
    if (sqlstate == "25006" && in_recovery) {
        Problem made = problem(errc::unavailable);
        made.retry_after = 1;
        return made;
    }
    if (sqlstate == "28000" || sqlstate == "42501") {
        if (sqlstate == "28000" || !has_identity) return problem(errc::authentication_required);
        Problem made = problem(errc::not_permitted);
        made.extra = json_object_or_empty(detail);
        return made;
    }
    // the classes that neither the standard nor the server uses
    const bool is_own_class = !sqlstate.empty() && sqlstate.front() >= 'I';
    if (const ErrorCode *const code = registration::find_sqlstate(sqlstate);
        code != nullptr && (is_own_class || sqlstate == "22023")) {
        Problem made = problem(*code, code->http_status == 500 ? std::string() : std::string(message));
        made.extra = made.is_fault ? std::string() : json_object_or_empty(detail);
        return made;
    }
    for (const Mapping &mapping : mappings) {
        if (!sqlstate.starts_with(mapping.prefix)) continue;
        Problem made = problem(mapping.code);
        made.retry_after = mapping.retry_after;
        return made;
    }
    return problem(errc::internal_error);
}

std::string to_json(const Problem &problem, std::string_view instance, std::string_view correlation_id) {
    const auto member = [](const char *name, std::string_view value) {
        std::string text = ",\"" + std::string(name) + "\":";
        json::append_string(text, value);
        return text;
    };
    std::string out = R"({"type":"urn:usher:error:)" + problem.code + '"';
    out += member("title", problem.title);
    out += ",\"status\":" + std::to_string(problem.status);
    if (!problem.detail.empty()) out += member("detail", problem.detail);
    out += member("instance", instance);
    out += member("code", problem.code);
    out += member("correlation_id", correlation_id);
    if (problem.retry_after > 0) out += ",\"retry_after\":" + std::to_string(problem.retry_after);
    if (!problem.extra.empty()) out += ",\"details\":" + problem.extra;
    if (!problem.errors.empty()) {
        out += ",\"errors\":[";
        for (const FieldError &error : problem.errors) {
            if (&error != &problem.errors.front()) out += ',';
            out += "{\"field\":" + json::quote(error.field) + member("in", error.in) + member("code", error.code) +
                   member("detail", error.detail) + '}';
        }
        out += ']';
    }
    return out + '}';
}

} // namespace usher::http
