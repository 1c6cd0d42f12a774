// Guess slots: the right to have one password evaluated. identity/guesses.hpp says why and how. With the library
// preloaded they are counters in shared memory, else locks of the server's lock table.
#pragma once
#include "identity/accounts.hpp"

namespace usher::identity {

/// The rules for accounts, from the settings.
LockoutRules account_rules();
/// The rules for networks.
LockoutRules network_rules();

enum class Admission { granted, refused, busy };

class GuessSlot {
public:
    GuessSlot(const GuessSlot &) = delete;
    GuessSlot &operator=(const GuessSlot &) = delete;
    ~GuessSlot();
    /// The slots of an account.
    explicit GuessSlot(const Account &account);
    /// The slots of a name that no account has: it must take as long.
    explicit GuessSlot(std::string_view unknown_name);

    /// Waits for a slot, at most usher.hash_wait. refused: the account was locked meanwhile.
    Admission enter();
    /// Gives the slot back: the password was right. Call it in the frame that called enter().
    void leave();
    /// The password was wrong: the slot is spent.
    void spend();
    /// Bit of the slot for credentials.spent_slots; 0 when it is not one of those.
    [[nodiscard]] std::uint64_t bit() const { return slot_ < 0 || slot_ == single ? 0 : std::uint64_t{1} << slot_; }
    /// The state that the last look found.
    [[nodiscard]] const LockoutState &state() const { return state_; }

private:
    static constexpr int single = 63;
    Admission enter_shared();
    bool try_slot(int slot) const;
    void release(int slot) const;
    [[nodiscard]] bool is_open(int slot) const;
    void look_again();
    Uuid subject_;
    bool known_;
    LockoutState state_;
    std::uint64_t spent_ = 0;
    int slot_ = -1;
    bool shared_ = false; // counted in shared memory, no lock is held
};

} // namespace usher::identity
