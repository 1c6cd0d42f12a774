#include "pg/xact.hpp"
#include "pg/moment.hpp"

namespace usher::pg {

namespace {
TransactionState *first = nullptr; // every state that was ever set in this backend
} // namespace

CommandId running_statement() { return ActiveSnapshotSet() ? GetActiveSnapshot()->curcid : GetCurrentCommandId(false); }

TransactionState::Entry *TransactionState::push(std::size_t size) {
    if (!enrolled_) {
        static constinit bool registered = false;
        if (!registered) {
            call([] {
                RegisterXactCallback(
                    [](XactEvent event, void *arg) {
                        if (event == XACT_EVENT_PRE_PREPARE)
                            ask_before_prepare();
                        else
                            at_transaction_end(event, arg);
                    },
                    nullptr);
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
        if (on_end_ != nullptr) on_end_(top_, End::rolled_back);
        top_ = top_->outer;
        ++epoch;
    }
}

// All that is left goes.
void TransactionState::settle(End end) {
    for (; on_end_ != nullptr && top_ != nullptr; top_ = top_->outer) on_end_(top_, end);
    top_ = nullptr;
    ++epoch;
}

// A plain frame: its ERROR jumps. The rollback that follows settles whatever was kept here.
void TransactionState::ask_before_prepare() {
    for (const TransactionState *state = first; state != nullptr; state = state->next_) {
        if (state->before_prepare_ == nullptr) continue;
        for (const Entry *entry = state->top_; entry != nullptr; entry = entry->outer)
            if (!state->before_prepare_(entry))
                ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                        errmsg("cannot prepare the transaction now"),
                        errdetail("Too many failed logins of prepared transactions wait for their end."),
                        errhint("Commit or roll back the transactions in pg_prepared_xacts."));
    }
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
        for (TransactionState *state = first; state != nullptr; state = state->next_) state->settle(End::committed);
        break;
    case XACT_EVENT_PREPARE: // a prepared transaction is nobody's: identity does not travel with it
        for (TransactionState *state = first; state != nullptr; state = state->next_) state->settle(End::prepared);
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

std::uint64_t transaction_id() { return U64FromFullTransactionId(GetTopFullTransactionIdIfAny()); }

// The server's own function knows in which order to ask, and which transactions are too old to be asked about.
Outcome outcome_of(std::uint64_t transaction) {
    return call([&] {
        LOCAL_FCINFO(arguments, 1);
        InitFunctionCallInfoData(*arguments, nullptr, 1, InvalidOid, nullptr, nullptr);
        arguments->args[0] = {FullTransactionIdGetDatum(FullTransactionIdFromU64(transaction)), false};
        const Datum status = pg_xact_status(arguments);
        if (arguments->isnull) return Outcome::forgotten;
        const char *const told = TextDatumGetCString(status);
        if (std::strcmp(told, "in progress") == 0) return Outcome::in_progress;
        return std::strcmp(told, "committed") == 0 ? Outcome::committed : Outcome::rolled_back;
    });
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
