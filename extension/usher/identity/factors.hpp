// Second factors of accounts: TOTP secrets (RFC 6238), sealed at rest, and recovery codes, stored by hash.
#pragma once
#include "usher/identity/accounts.hpp"
#include "usher/identity/totp.hpp"
#include <vector>

namespace usher::identity {

inline constexpr std::int64_t max_factors = 5; // of one user: each is one more code that a guess may meet
inline constexpr int recovery_code_count = 10;

/// What a code that somebody typed is, before it is used up.
struct FoundCode {
    enum class Kind { nothing, totp, recovery };
    Kind kind = Kind::nothing;
    Uuid id;               // of the factor or of the recovery code
    std::int64_t step = 0; // of a TOTP code
    bool reused = false;   // the code was right once
};

/// Compares with all confirmed factors, or with the open recovery codes; six digits are never a recovery code.
FoundCode find_code(const Uuid &user_id, std::string_view code);
/// Compares with one factor, confirmed or not.
FoundCode find_code_of(const Uuid &user_id, const Uuid &factor_id, std::string_view code);

/// Uses the code up; of any number of calls at the same time one gets true. With the library preloaded the time step
/// stays used even if this transaction is rolled back.
bool use_code(const FoundCode &found);

/// Ten new codes in the place of those that were there, as text to be shown once.
std::vector<std::string> renew_recovery_codes(const Uuid &user_id);

/// Throws US102 when the user has a second factor that the current session has not been opened with.
void require_second_factor(const Uuid &user_id);

/// Takes a factor of an account into use or out of it: refresh tokens of before are nobody's parent, and without any
/// factor left no session counts as opened with one.
void after_factor_change(const Uuid &user_id);

} // namespace usher::identity
