// Single values of any type as text. No setting of the session has a say, unless a type's output function asks for one.
#pragma once
#include "pg/subxact.hpp"
#include "usher/audit/row_encoder.hpp"

namespace usher::audit {

/// What an output function makes of values up to this size has room in memory, whatever it makes.
inline constexpr std::size_t surely_small = std::size_t{64} * 1024;

/// The last resort for what others' output functions raise, and for what nobody has thought of: auditing never makes a
/// correct write fail. False when it raised an ERROR. Whatever state f works on is of no use then.
template <class F> bool try_to(const F &f) {
    return !pg::attempt([&] { pg::call(f); });
}

/// Is it a number that JSON has no word for?
inline bool is_special(Numeric value) { return numeric_is_nan(value) || numeric_is_inf(value); }

char *numeric_text(Numeric value);
Numeric numeric_from(const char *text);

/// Shortest text that reads back as the same number, whatever extra_float_digits says; "NaN" and "Infinity" included.
char *float_text(const ValueType &type, Datum value);
bool is_finite(const ValueType &type, Datum value);

/// A date or time with its text. No setting has an influence on the text.
struct DatetimeText {
    Oid type;
    Datum value;
    int length;
    char text[MAXDATELEN + 1];
};

const DatetimeText &datetime_text(const ValueType &type, Datum value);

/// The value's text: that of a JSON string or number without quotes, otherwise the type's own.
char *value_text(const ValueType &type, FmgrInfo *output, Datum value);
/// The text of a key of one column, or of several. Of one that is too much for that, or whose output function fails, a
/// note that says so.
const char *key_text(const ValueType &type, FmgrInfo *output, Datum value);
const char *key_text(const Jsonb *key);

} // namespace usher::audit
