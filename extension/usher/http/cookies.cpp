#include "usher/http/cookies.hpp"
#include "common/digest.hpp"
#include "common/encoding.hpp"
#include "usher/operations/settings.hpp"

namespace usher::http {

namespace {
constexpr std::string_view csrf_cookie = "__Host-usher_csrf";

void add(Answer &answer, std::string_view name, std::string_view value, std::int64_t seconds, bool for_scripts) {
    std::string text(name);
    text += '=' + std::string(value) + "; Path=/; Max-Age=" + std::to_string(seconds) + "; Secure";
    if (!for_scripts) text += "; HttpOnly";
    text += guc::cookie_same_site() == guc::CookieSameSite::strict ? "; SameSite=Strict" : "; SameSite=Lax";
    answer.add("Set-Cookie", std::move(text));
}
} // namespace

std::string csrf_token(std::string_view access_token) {
    return base64url_encode(sha256_bytes("usher csrf " + std::string(access_token)));
}

bool is_csrf_token(std::string_view access_token, std::string_view given) {
    return constant_time_equal(csrf_token(access_token), given);
}

void set_cookies(Answer &answer, std::string_view access_token, std::string_view refresh_token,
                 std::int64_t expires_in) {
    add(answer, access_cookie, access_token, expires_in, false);
    if (!refresh_token.empty()) add(answer, refresh_cookie, refresh_token, guc::session_idle_timeout, false);
    add(answer, csrf_cookie, csrf_token(access_token), expires_in, true);
}

void clear_cookies(Answer &answer) {
    add(answer, access_cookie, "", 0, false);
    add(answer, refresh_cookie, "", 0, false);
    add(answer, csrf_cookie, "", 0, true);
}

} // namespace usher::http
