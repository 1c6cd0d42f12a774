// Guess permits: the right to have one password evaluated. usher/identity/guesses.hpp says why and how. With the
// library preloaded they are counters in shared memory, else locks of the server's lock table.
#pragma once
#include "usher/identity/accounts.hpp"

namespace usher::identity {

/// The rules for accounts, from the settings.
LockoutRules account_rules();
/// The rules for networks.
LockoutRules network_rules();

enum class Admission { granted, refused, busy };

class GuessPermit {
public:
    GuessPermit(const GuessPermit &) = delete;
    GuessPermit &operator=(const GuessPermit &) = delete;
    ~GuessPermit();
    /// The permits of an account.
    explicit GuessPermit(const Account &account);
    /// The permits of a name that no account has: it must take as long.
    explicit GuessPermit(std::string_view unknown_name);

    /// Waits for a permit, at most usher.hash_wait. refused: the account was locked meanwhile.
    Admission enter();
    /// Gives the permit back: the password was right. Call it in the frame that called enter().
    void leave();
    /// The password was wrong: the permit is spent.
    void spend();
    /// Bit of the permit for credentials.spent_permits; 0 when it is not one of those.
    [[nodiscard]] std::uint64_t bit() const {
        return permit_ < 0 || permit_ == single ? 0 : std::uint64_t{1} << permit_;
    }
    /// The state that the last look found.
    [[nodiscard]] const LockoutState &state() const { return state_; }

private:
    static constexpr int single = 63;
    Admission enter_shared();
    bool try_permit(int permit) const;
    void release(int permit) const;
    [[nodiscard]] bool is_open(int permit) const;
    void look_again();
    Uuid subject_;
    bool known_;
    LockoutState state_;
    std::uint64_t spent_ = 0;
    int permit_ = -1;
    bool shared_ = false; // counted in shared memory, no lock is held
};

} // namespace usher::identity
