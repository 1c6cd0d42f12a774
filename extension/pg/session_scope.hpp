// What a request may leave in its session, and taking that back. One session serves the requests of many people, one
// after the other.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

/// While it lives, it notes what outlives a transaction: settings, advisory locks of the session, temporary tables,
/// LISTEN, prepared statements, cursors WITH HOLD. What the session had before is left alone. Make it in a C++ frame.
class SessionScope {
public:
    SessionScope();
    ~SessionScope() { current = outer_; }
    SessionScope(const SessionScope &) = delete;
    SessionScope &operator=(const SessionScope &) = delete;

    /// Takes it all back. False when something stays: the session should not be used for another request.
    /// Not after an ERROR: the end of the transaction takes back what it can.
    [[nodiscard]] bool undo();

private:
    enum class Kind : std::uint8_t { channel, prepared, cursor };
    struct Left {
        Kind kind;
        char name[NAMEDATALEN];
    };
    static void install();
    static void on_utility(const Node *statement);
    void note(Kind kind, const char *name);
    void take_back() const;

    static constinit SessionScope *current; // the innermost
    SessionScope *outer_;
    int settings_;
    bool had_locks_, had_temporary_objects_;
    bool overflowed_ = false;
    std::size_t count_ = 0;
    std::array<Left, 16> left_{};

    friend struct SessionHook;
};

} // namespace usher::pg
