// Backend state that follows the transaction.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

/// How a transaction ends for this backend. A prepared one goes on without any.
enum class End : std::uint8_t { committed, rolled_back, prepared };

/// The id of the transaction of this backend, with its epoch; 0 as long as it has written nothing.
std::uint64_t transaction_id();

/// Is this server a standby, or still replaying the log?
inline bool in_recovery() { return RecoveryInProgress(); }

/// Is it, or was it when this transaction began? Such a transaction writes nothing, also when the server is promoted
/// meanwhile.
inline bool began_in_recovery() { return RecoveryInProgress() || TransactionStartedDuringRecovery(); }

/// May this statement write, as far as the server and the transaction go?
inline bool may_write() { return !in_recovery() && !XactReadOnly && !IsInParallelMode(); }

/// The statement whose trigger runs, by its number within the transaction: it runs under the statement's own snapshot.
CommandId running_statement();

/// What has become of a transaction that may have been prepared.
enum class Outcome : std::uint8_t { in_progress, committed, rolled_back, forgotten /* so old that nobody knows */ };
Outcome outcome_of(std::uint64_t transaction);

/// Base of TransactionLocal: the part that the server's callbacks work on.
class TransactionState {
public:
    TransactionState(const TransactionState &) = delete;
    TransactionState &operator=(const TransactionState &) = delete;

protected:
    struct Entry {
        Entry *outer;
        SubTransactionId level;
    };
    using EndHook = void (*)(const Entry *entry, End end) noexcept;
    using PrepareHook = bool (*)(const Entry *entry) noexcept;
    /// `on_end` sees each entry whose (sub)transaction is rolled back, newest first, and those left when the
    /// transaction has committed and others can see it, or has been prepared. It may touch memory only.
    /// `before_prepare` sees those left while PREPARE TRANSACTION can still be refused, and refuses it by returning
    /// false.
    constexpr explicit TransactionState(EndHook on_end, PrepareHook before_prepare = nullptr)
        : on_end_(on_end), before_prepare_(before_prepare) {}
    Entry *top() const { return top_; }
    /// Room for an entry of `size` bytes on top of the stack, tagged with the current subtransaction.
    Entry *push(std::size_t size);

private:
    static void at_transaction_end(XactEvent event, void *) noexcept;
    static void at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                                      void *) noexcept;
    static void ask_before_prepare();
    void roll_back(SubTransactionId level);
    void settle(End end);
    EndHook on_end_;
    PrepareHook before_prepare_;
    Entry *top_ = nullptr;
    TransactionState *next_ = nullptr;
    bool enrolled_ = false;
};

/// A value that is gone at the end of the transaction, and goes back to what it was on ROLLBACK TO SAVEPOINT.
/// T is plain data; what it points at lives in TopTransactionContext. Make it `static constinit`.
template <class T> class TransactionLocal : TransactionState {
    static_assert(std::is_trivially_copyable_v<T>);
    struct Node : Entry {
        T value;
    };

public:
    constexpr TransactionLocal() : TransactionState(nullptr) {}
    /// nullptr when nothing is set in this transaction.
    [[nodiscard]] T *get() const { return top() == nullptr ? nullptr : &static_cast<Node *>(top())->value; }
    void set(const T &value) { static_cast<Node *>(push(sizeof(Node)))->value = value; }
};

/// Values of T that have to be settled when the transaction ends: `on_end` is called for each one, when its
/// (sub)transaction is rolled back or the whole transaction has committed or is prepared. It may touch memory only.
///
/// What becomes of a prepared transaction is not known here: on_end() has to keep the value somewhere else, together
/// with transaction_id(), until outcome_of() knows. It cannot fail any more by then; what needs room for that takes it
/// in `before_prepare`, whose answer false refuses PREPARE TRANSACTION (on_end() with End::rolled_back follows then).
template <class T, void (*on_end)(const T &, End end) noexcept, bool (*before_prepare)(const T &) noexcept = nullptr>
class OnEnd : TransactionState {
    static_assert(std::is_trivially_copyable_v<T>);
    struct Node : Entry {
        T value;
    };
    static constexpr PrepareHook prepare_hook() {
        if constexpr (before_prepare == nullptr)
            return nullptr;
        else
            return [](const Entry *entry) noexcept { return before_prepare(static_cast<const Node *>(entry)->value); };
    }

public:
    constexpr OnEnd()
        : TransactionState(
              [](const Entry *entry, End end) noexcept { on_end(static_cast<const Node *>(entry)->value, end); },
              prepare_hook()) {}
    void add(const T &value) { static_cast<Node *>(push(sizeof(Node)))->value = value; }
    /// The value that was added last.
    T &newest() { return static_cast<Node *>(top())->value; }
    /// Calls visit(value) for each value that waits for the end.
    template <class F> void for_each(F &&visit) const {
        for (const Entry *entry = top(); entry != nullptr; entry = entry->outer)
            visit(static_cast<const Node *>(entry)->value);
    }
};

/// A copy of text that lives until the end of the transaction.
std::string_view keep_for_transaction(std::string_view text);

} // namespace usher::pg
