#include "usher/identity/names.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>
#include <array>
#include <new>
#include <unicode/uchar.h>
#include <unicode/uidna.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

namespace usher {

namespace {
constexpr std::size_t longest_text = 1024, longest_email = 254, longest_local = 64, longest_label = 63;
constexpr std::size_t longest_username = 50;         // characters
constexpr std::string_view wide_at = "\xef\xbc\xa0"; // U+FF20

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void require(UErrorCode code) { // with texts this short ICU lacks nothing but memory
    if (U_FAILURE(code)) throw std::bad_alloc();
}

// --- conversions: std::u16string is what ICU works on ----------------------------------------------------------------

std::u16string to_utf16(std::string_view text) {
    std::u16string out(text.size(), u'\0');
    std::int32_t length = 0;
    UErrorCode code = U_ZERO_ERROR;
    u_strFromUTF8(out.data(), static_cast<std::int32_t>(out.size()), &length, text.data(),
                  static_cast<std::int32_t>(text.size()), &code);
    require(code);
    out.resize(static_cast<std::size_t>(length));
    return out;
}

std::string to_utf8(std::u16string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        UChar32 c = 0;
        U16_NEXT(text.data(), i, text.size(), c);
        append_utf8(out, static_cast<std::uint32_t>(c));
    }
    return out;
}

/// Runs a function of ICU that writes text, with as much room as it asks for.
template <class F> std::u16string written(std::size_t room, const F &function) {
    std::u16string out(room, u'\0');
    UErrorCode code = U_ZERO_ERROR;
    std::int32_t length = function(out.data(), static_cast<std::int32_t>(out.size()), code);
    if (code == U_BUFFER_OVERFLOW_ERROR) {
        out.resize(static_cast<std::size_t>(length));
        code = U_ZERO_ERROR;
        length = function(out.data(), length, code);
    }
    require(code);
    out.resize(static_cast<std::size_t>(length));
    return out;
}

std::u16string compose(const std::u16string &text) { // form C
    UErrorCode code = U_ZERO_ERROR;
    const UNormalizer2 *const nfc = unorm2_getNFCInstance(&code);
    require(code);
    return written(2 * text.size() + 8, [&](UChar *to, std::int32_t room, UErrorCode &failed) {
        return unorm2_normalize(nfc, text.data(), static_cast<std::int32_t>(text.size()), to, room, &failed);
    });
}

std::u16string in_small_letters(const std::u16string &text) { // of no particular language
    return written(2 * text.size() + 8, [&](UChar *to, std::int32_t room, UErrorCode &failed) {
        return u_strToLower(to, room, text.data(), static_cast<std::int32_t>(text.size()), "", &failed);
    });
}

/// Characters of East Asian width become the ones that they stand for (RFC 8265 section 3.3.1).
std::u32string without_width(std::u16string_view text) {
    UErrorCode code = U_ZERO_ERROR;
    const UNormalizer2 *const nfkc = unorm2_getNFKCInstance(&code);
    require(code);
    std::u32string out;
    for (std::size_t i = 0; i < text.size();) {
        UChar32 c = 0;
        U16_NEXT(text.data(), i, text.size(), c);
        const std::int32_t kind = u_getIntPropertyValue(c, UCHAR_DECOMPOSITION_TYPE);
        if (kind == U_DT_WIDE || kind == U_DT_NARROW) {
            std::array<UChar, 8> mapped{};
            const std::int32_t length =
                unorm2_getRawDecomposition(nfkc, c, mapped.data(), static_cast<std::int32_t>(mapped.size()), &code);
            require(code);
            if (length > 0) U16_GET(mapped.data(), 0, 0, length, c); // they all stand for one
        }
        out += static_cast<char32_t>(c);
    }
    return out;
}

std::u16string to_utf16(const std::u32string &text) {
    std::u16string out;
    for (const char32_t c : text) {
        if (c > 0xffff) out += static_cast<char16_t>(U16_LEAD(c));
        out += static_cast<char16_t>(c > 0xffff ? U16_TRAIL(c) : c);
    }
    return out;
}

std::u32string to_utf32(std::u16string_view text) {
    std::u32string out;
    for (std::size_t i = 0; i < text.size();) {
        UChar32 c = 0;
        U16_NEXT(text.data(), i, text.size(), c);
        out += static_cast<char32_t>(c);
    }
    return out;
}

// --- PRECIS ----------------------------------------------------------------------------------------------------------

UScriptCode script_of(char32_t c) {
    UErrorCode code = U_ZERO_ERROR;
    return uscript_getScript(static_cast<UChar32>(c), &code);
}

bool is_in(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

/// Characters that are right beside certain others only (RFC 8264 section 9.6, by the rules of RFC 5892 appendix A).
/// nullopt for all others. The two joiners of its rules are refused with everything else that nobody sees.
std::optional<bool> fits_context(const std::u32string &text, std::size_t at) {
    const char32_t c = text[at], before = at > 0 ? text[at - 1] : 0, after = at + 1 < text.size() ? text[at + 1] : 0;
    const auto anywhere = [&](const auto &holds) { return std::any_of(text.begin(), text.end(), holds); };
    if (c == 0xb7) return (before == 'l' || before == 'L') && (after == 'l' || after == 'L');
    if (c == 0x375) return script_of(after) == USCRIPT_GREEK;
    if (c == 0x5f3 || c == 0x5f4) return script_of(before) == USCRIPT_HEBREW;
    if (c == 0x30fb)
        return anywhere([](char32_t each) {
            const UScriptCode script = script_of(each);
            return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA || script == USCRIPT_HAN;
        });
    if (is_in(c, 0x660, 0x669)) return !anywhere([](char32_t each) { return is_in(each, 0x6f0, 0x6f9); });
    if (is_in(c, 0x6f0, 0x6f9)) return !anywhere([](char32_t each) { return is_in(each, 0x660, 0x669); });
    return std::nullopt;
}

/// IdentifierClass (RFC 8264 section 4.2): letters, digits and marks of any script, and what ASCII prints. Not: spaces,
/// symbols, punctuation, what looks like other characters, what is invisible, and what is not assigned.
bool is_identifier_character(const std::u32string &text, std::size_t at) {
    const char32_t c = text[at];
    if (c < 0x80) return c > 0x20 && c < 0x7f;
    constexpr std::array always = {U'\u00df', U'\u03c2', U'\u06fd', U'\u06fe', U'\u0f0b', U'\u3007'};
    if (std::find(always.begin(), always.end(), c) != always.end()) return true;
    constexpr std::array never = {U'\u0640', U'\u07fa', U'\u302e', U'\u302f', U'\u303b'};
    if (std::find(never.begin(), never.end(), c) != never.end() || is_in(c, 0x3031, 0x3035)) return false;
    if (const std::optional<bool> fits = fits_context(text, at)) return *fits;
    const auto point = static_cast<UChar32>(c);
    if (u_hasBinaryProperty(point, UCHAR_DEFAULT_IGNORABLE_CODE_POINT)) return false;
    const std::int32_t syllable = u_getIntPropertyValue(point, UCHAR_HANGUL_SYLLABLE_TYPE);
    if (syllable == U_HST_LEADING_JAMO || syllable == U_HST_VOWEL_JAMO || syllable == U_HST_TRAILING_JAMO) return false;
    UErrorCode code = U_ZERO_ERROR;
    const UNormalizer2 *const nfkc = unorm2_getNFKCInstance(&code);
    require(code);
    std::array<UChar, 2> unit{};
    std::int32_t length = 0;
    U16_APPEND_UNSAFE(unit.data(), length, point);
    const bool stands_for_itself = unorm2_isNormalized(nfkc, unit.data(), length, &code) != 0;
    require(code);
    return stands_for_itself &&
           (U_GET_GC_MASK(point) & (U_GC_L_MASK | U_GC_ND_MASK | U_GC_MN_MASK | U_GC_MC_MASK)) != 0;
}

/// The Bidi rule (RFC 5893 section 2) for a text with characters that are written from the right.
bool is_readable(const std::u32string &text) {
    const auto direction = [](char32_t c) { return u_charDirection(static_cast<UChar32>(c)); };
    const auto is_right = [&](char32_t c) {
        return direction(c) == U_RIGHT_TO_LEFT || direction(c) == U_RIGHT_TO_LEFT_ARABIC;
    };
    const auto has = [&](UCharDirection wanted) {
        return std::any_of(text.begin(), text.end(), [&](char32_t c) { return direction(c) == wanted; });
    };
    if (std::none_of(text.begin(), text.end(), is_right) && !has(U_ARABIC_NUMBER)) return true;
    if (!is_right(text.front()) || has(U_LEFT_TO_RIGHT) || (has(U_EUROPEAN_NUMBER) && has(U_ARABIC_NUMBER)))
        return false;
    const auto last =
        std::find_if(text.rbegin(), text.rend(), [&](char32_t c) { return direction(c) != U_DIR_NON_SPACING_MARK; });
    return is_right(*last) || direction(*last) == U_EUROPEAN_NUMBER || direction(*last) == U_ARABIC_NUMBER;
}

/// UsernameCasePreserved. The text is well-formed UTF-8.
std::optional<std::string> identifier_of(std::string_view text) {
    if (is_ascii(text)) {
        const bool prints = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
        return prints && !text.empty() ? std::optional(std::string(text)) : std::nullopt;
    }
    const std::u16string composed = compose(to_utf16(without_width(to_utf16(text))));
    const std::u32string characters = to_utf32(composed);
    for (std::size_t i = 0; i < characters.size(); ++i)
        if (!is_identifier_character(characters, i)) return std::nullopt;
    if ((U_GET_GC_MASK(static_cast<UChar32>(characters.front())) & U_GC_M_MASK) != 0)
        return std::nullopt; // a mark on nothing
    return is_readable(characters) ? std::optional(to_utf8(composed)) : std::nullopt;
}

/// From UsernameCasePreserved to UsernameCaseMapped. Composed again: small letters may have a form of their own.
std::string identifier_key(std::string_view identifier) {
    std::string key(identifier);
    if (!is_ascii(identifier)) return to_utf8(compose(in_small_letters(to_utf16(identifier))));
    std::transform(key.begin(), key.end(), key.begin(), to_lower);
    return key;
}

// --- domains ---------------------------------------------------------------------------------------------------------

bool is_host(std::string_view host) {
    for (;;) {
        const std::size_t dot = std::min(host.find('.'), host.size());
        const std::string_view label = host.substr(0, dot);
        if (label.empty() || label.size() > longest_label || label.front() == '-' || label.back() == '-') return false;
        if (!std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-'; }))
            return false;
        if (dot == host.size()) return true;
        host.remove_prefix(dot + 1);
    }
}

struct Idna {
    UIDNA *mapping = nullptr;
    Idna() {
        UErrorCode code = U_ZERO_ERROR;
        mapping =
            uidna_openUTS46(UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_CHECK_CONTEXTO |
                                UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE,
                            &code);
        require(code);
    }
    ~Idna() { uidna_close(mapping); }
    Idna(const Idna &) = delete;
    Idna &operator=(const Idna &) = delete;
};

std::optional<std::string> host_of(std::string_view text) {
    std::string host(text);
    std::transform(host.begin(), host.end(), host.begin(), to_lower);
    // What begins with xn-- is looked at as well: it must be what its Unicode form gives.
    if (!is_ascii(host) || host.find("xn--") != std::string::npos) {
        const Idna idna;
        std::array<char, 512> ascii{};
        UIDNAInfo info = UIDNA_INFO_INITIALIZER;
        UErrorCode code = U_ZERO_ERROR;
        const std::int32_t length =
            uidna_nameToASCII_UTF8(idna.mapping, host.data(), static_cast<std::int32_t>(host.size()), ascii.data(),
                                   static_cast<std::int32_t>(ascii.size()), &info, &code);
        // Hyphens in the third and fourth place are in use, in names that were there before IDNA.
        if (U_FAILURE(code) || (info.errors & ~static_cast<std::uint32_t>(UIDNA_ERROR_HYPHEN_3_4)) != 0)
            return std::nullopt;
        host.assign(ascii.data(), static_cast<std::size_t>(length));
    }
    return is_host(host) ? std::optional(host) : std::nullopt;
}

std::size_t find_at(std::string_view text, std::size_t &width) {
    const std::size_t plain = text.find('@'), wide = text.find(wide_at);
    width = wide < plain ? wide_at.size() : 1;
    return std::min(plain, wide);
}
} // namespace

bool is_meant_as_email(std::string_view text) noexcept {
    return text.find('@') != std::string_view::npos || text.find(wide_at) != std::string_view::npos;
}

std::optional<std::string> normalize_email(std::string_view text) {
    text = trim(text);
    if (text.size() > longest_text || !is_valid_utf8(text)) return std::nullopt;
    std::size_t width = 0;
    const std::size_t at = find_at(text, width);
    if (at == std::string_view::npos) return std::nullopt;
    const std::optional<std::string> local = identifier_of(text.substr(0, at)), host = host_of(text.substr(at + width));
    if (!local || !host || local->size() > longest_local || local->size() + 1 + host->size() > longest_email)
        return std::nullopt;
    if (local->front() == '.' || local->back() == '.' || local->find("..") != std::string::npos) return std::nullopt;
    if (local->find_first_of("\"(),:;<>@[\\]") != std::string::npos) return std::nullopt;
    return *local + '@' + *host;
}

std::optional<std::string> normalize_username(std::string_view text) {
    text = trim(text);
    if (text.size() > longest_text || !is_valid_utf8(text)) return std::nullopt;
    std::optional<std::string> name = identifier_of(text);
    if (!name || name->find('@') != std::string::npos || utf8_length(*name) > longest_username) return std::nullopt;
    return name;
}

std::optional<std::string> normalize_name(std::string_view text) {
    return is_meant_as_email(text) ? normalize_email(text) : normalize_username(text);
}

std::optional<std::string> name_key(std::string_view text) {
    const std::optional<std::string> name = normalize_name(text);
    if (!name) return std::nullopt;
    const std::size_t at = std::min(name->find('@'), name->size());
    return identifier_key(std::string_view(*name).substr(0, at)) + name->substr(at);
}

} // namespace usher
