#include "usher/registration/registered_errors.hpp"
#include "common/json.hpp"
#include "common/json_object.hpp"
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include <algorithm>
#include <deque>
#include <string>
#include <vector>

using namespace usher;

namespace usher::registration {

namespace {
constinit pg::Invalidation changes{"registration_inval"};
constinit pg::Statement load{R"(
    SELECT e.code, e.sqlstate, e.http_status, e.description FROM usher.extension_errors AS e)",
                             pg::Access::latest};

struct Cache {
    std::deque<std::string> texts; // what the codes point into
    std::vector<ErrorCode> codes;
    std::uint64_t loaded_at = 0;
};
Cache *cache = nullptr; // never deleted: a backend ends without unwinding

const std::vector<ErrorCode> &registered() {
    const std::uint64_t now = changes.generation();
    if (cache != nullptr && cache->loaded_at == now) return cache->codes;
    Cache fresh;
    const auto keep = [&](std::string_view text) -> std::string_view { return fresh.texts.emplace_back(text); };
    {
        const pg::AsOwner owner;
        const pg::Rows rows = load.run();
        for (std::size_t i = 0; i < rows.size(); ++i)
            fresh.codes.push_back({keep(rows[i].text(0)),
                                   rows[i].is_null(1) ? std::string_view() : keep(rows[i].text(1)), rows[i].int4(2),
                                   keep(rows[i].text(3))});
    }
    fresh.loaded_at = pg::Invalidation::may_keep() ? now : 0;
    if (cache == nullptr) cache = new Cache;
    *cache = std::move(fresh);
    return cache->codes;
}

template <typename Same> const ErrorCode *find_registered(Same same) {
    const std::vector<ErrorCode> &codes = registered();
    const auto found = std::find_if(codes.begin(), codes.end(), same);
    return found == codes.end() ? nullptr : &*found;
}
} // namespace

const ErrorCode *find_error(std::string_view code) {
    if (const ErrorCode *const own = find_error_code(code)) return own;
    return find_registered([&](const ErrorCode &each) { return each.name == code; });
}

const ErrorCode *find_sqlstate(std::string_view sqlstate) {
    if (const ErrorCode *const own = find_error_sqlstate(sqlstate)) return own;
    if (sqlstate.empty()) return nullptr;
    return find_registered([&](const ErrorCode &each) { return each.sqlstate == sqlstate; });
}

} // namespace usher::registration

/// usher._core_error_codes()
USHER_FUNCTION(usher_core_error_codes) {
    pg::RowSet rows(fcinfo);
    for (const ErrorCode &code : error_codes())
        rows.add({pg::text(code.name), code.sqlstate.empty() ? pg::null(TEXTOID) : pg::text(code.sqlstate),
                  pg::int4(code.http_status), pg::text(code.description)});
    return rows.finish();
}

namespace {
/// The member of a DETAIL that is null: an argument that was not given refers to nothing. jsonb has long names last,
/// and they say more: user_id, where there is an id too.
std::string missing_member(const std::string &detail) {
    json::Document document;
    std::string found;
    if (!document.parse(detail) || !document.root().is_object()) return found;
    for (const json::Member member : document.root().members())
        if (member.value.is_null()) found = member.key();
    return found;
}
} // namespace

/// usher.raise_error(code, message, detail, hint)
USHER_FUNCTION(usher_raise_error) {
    const pg::Args args(fcinfo);
    const std::string_view name = args.text(0);
    const ErrorCode *const code = registration::find_error(name);
    if (code == nullptr || code->sqlstate.empty())
        throw Error(errc::invalid_argument, "there is no error code \"" + std::string(name) + "\" that can be raised");
    const std::string detail = args.optional_output(2).value_or("");
    if (code->name == errc::unknown_reference.name) {
        const std::string missing = missing_member(detail);
        if (!missing.empty())
            throw Error(errc::invalid_argument, missing + " must not be null",
                        json::Object().add("argument", missing).text());
    }
    throw Error(*code, std::string(args.text(1)), detail, std::string(args.optional_text(3).value_or("")));
}
