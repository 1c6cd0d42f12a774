#include "pg/xact.hpp"
#include "pg/moment.hpp"

namespace usher::pg {

namespace {
TransactionState *first = nullptr; // every state that was ever set in this backend
} // namespace

TransactionState::Entry *TransactionState::push(std::size_t size) {
    if (!enrolled_) {
        static constinit bool registered = false;
        if (!registered) {
            call([] {
                RegisterXactCallback([](XactEvent event, void *arg) { at_transaction_end(event, arg); }, nullptr);
                RegisterSubXactCallback([](SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                                           void *arg) { at_subtransaction_end(event, mine, parent, arg); },
                                        nullptr);
            });
            registered = true;
        }
        next_ = first;
        first = this;
        enrolled_ = true;
    }
    auto *const entry = call([&] { return static_cast<Entry *>(MemoryContextAllocZero(TopTransactionContext, size)); });
    entry->outer = top_;
    entry->level = GetCurrentSubTransactionId();
    top_ = entry;
    ++epoch;
    return entry;
}

// Entries are tagged with the subtransaction they belong to; 0 stands for all of them.
void TransactionState::roll_back(SubTransactionId level) {
    while (top_ != nullptr && (level == InvalidSubTransactionId || top_->level == level)) {
        if (on_abort_ != nullptr) on_abort_(top_);
        top_ = top_->outer;
        ++epoch;
    }
}

// All that is left goes, seen by `hook` if there is one.
void TransactionState::settle(EndHook hook) {
    for (; hook != nullptr && top_ != nullptr; top_ = top_->outer) hook(top_);
    top_ = nullptr;
    ++epoch;
}

void TransactionState::at_transaction_end(XactEvent event, void *) noexcept {
    switch (event) {
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_ABORT:
        for (TransactionState *state = first; state != nullptr; state = state->next_)
            state->roll_back(InvalidSubTransactionId);
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
        for (TransactionState *state = first; state != nullptr; state = state->next_) state->settle(state->on_commit_);
        break;
    case XACT_EVENT_PREPARE: // a prepared transaction is nobody's: identity does not travel with it
        for (TransactionState *state = first; state != nullptr; state = state->next_)
            state->settle(state->on_commit_ == nullptr ? nullptr : state->on_abort_);
        break;
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE: break;
    }
}

void TransactionState::at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                                             void *) noexcept {
    if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB) return;
    for (TransactionState *state = first; state != nullptr; state = state->next_) {
        if (event == SUBXACT_EVENT_ABORT_SUB) {
            state->roll_back(mine);
        } else {
            for (Entry *entry = state->top_; entry != nullptr && entry->level == mine; entry = entry->outer)
                entry->level = parent;
        }
    }
}

std::string_view keep_for_transaction(std::string_view text) {
    const char *const copy = call([&] {
        auto *const bytes = static_cast<char *>(MemoryContextAlloc(TopTransactionContext, text.size() + 1));
        std::memcpy(bytes, text.data(), text.size());
        bytes[text.size()] = '\0';
        return bytes;
    });
    return {copy, text.size()};
}

} // namespace usher::pg
