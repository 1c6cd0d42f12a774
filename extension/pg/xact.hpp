// Backend state that follows the transaction.
#pragma once
#include "pg/guard.hpp"

namespace usher::pg {

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
    using EndHook = void (*)(const Entry *entry) noexcept;
    /// `on_abort` sees each entry whose (sub)transaction is rolled back, newest first; `on_commit` those left when the
    /// transaction has committed and others can see it. Both may touch memory only.
    constexpr explicit TransactionState(EndHook on_abort, EndHook on_commit = nullptr)
        : on_abort_(on_abort), on_commit_(on_commit) {}
    Entry *top() const { return top_; }
    /// Room for an entry of `size` bytes on top of the stack, tagged with the current subtransaction.
    Entry *push(std::size_t size);

private:
    static void at_transaction_end(XactEvent event, void *) noexcept;
    static void at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                                      void *) noexcept;
    void roll_back(SubTransactionId level);
    void settle(EndHook hook);
    EndHook on_abort_, on_commit_;
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

/// Values of T that were set aside in this transaction. `on_abort` is called for each one whose (sub)transaction is
/// rolled back; it may touch memory only. After a commit they are forgotten.
template <class T, void (*on_abort)(const T &) noexcept> class OnAbort : TransactionState {
    static_assert(std::is_trivially_copyable_v<T>);
    struct Node : Entry {
        T value;
    };

public:
    constexpr OnAbort()
        : TransactionState([](const Entry *entry) noexcept { on_abort(static_cast<const Node *>(entry)->value); }) {}
    void add(const T &value) { static_cast<Node *>(push(sizeof(Node)))->value = value; }
};

/// Values of T that have to be settled when the transaction ends: `on_end` is called for each one, with whether it
/// committed. A prepared transaction counts as rolled back: what becomes of it is not known here. It may touch memory
/// only.
template <class T, void (*on_end)(const T &, bool committed) noexcept> class OnEnd : TransactionState {
    static_assert(std::is_trivially_copyable_v<T>);
    struct Node : Entry {
        T value;
    };

public:
    constexpr OnEnd()
        : TransactionState([](const Entry *entry) noexcept { on_end(static_cast<const Node *>(entry)->value, false); },
                           [](const Entry *entry) noexcept { on_end(static_cast<const Node *>(entry)->value, true); }) {
    }
    void add(const T &value) { static_cast<Node *>(push(sizeof(Node)))->value = value; }
    /// Calls visit(value) for each value that waits for the end.
    template <class F> void for_each(F &&visit) const {
        for (const Entry *entry = top(); entry != nullptr; entry = entry->outer)
            visit(static_cast<const Node *>(entry)->value);
    }
};

/// A copy of text that lives until the end of the transaction.
std::string_view keep_for_transaction(std::string_view text);

} // namespace usher::pg
