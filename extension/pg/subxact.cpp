#include "pg/subxact.hpp"

namespace usher::pg {

namespace {
const char *duplicate(const char *text) { return text == nullptr ? nullptr : pstrdup(text); }

// The server can copy only the error on top of its stack, and this one has left it. Everything it points at is copied:
// the server's own copy has the texts that name a place in its sources, too, in memory that goes with the
// subtransaction.
ErrorData *copy_error(const ErrorData *from) {
    auto *const copy = static_cast<ErrorData *>(palloc(sizeof(ErrorData)));
    *copy = *from;
    for (const char *ErrorData::*field : {&ErrorData::filename, &ErrorData::funcname, &ErrorData::domain,
                                          &ErrorData::context_domain, &ErrorData::message_id})
        copy->*field = duplicate(from->*field);
    for (char *ErrorData::*field :
         {&ErrorData::message, &ErrorData::detail, &ErrorData::detail_log, &ErrorData::hint, &ErrorData::context,
          &ErrorData::backtrace, &ErrorData::schema_name, &ErrorData::table_name, &ErrorData::column_name,
          &ErrorData::datatype_name, &ErrorData::constraint_name, &ErrorData::internalquery})
        copy->*field = const_cast<char *>(duplicate(from->*field));
    copy->assoc_context = CurrentMemoryContext;
    return copy;
}

ErrorData *make_error(const Failure &failure) {
    auto *const made = static_cast<ErrorData *>(palloc0(sizeof(ErrorData)));
    made->elevel = ERROR;
    made->output_to_server = made->output_to_client = true;
    made->sqlerrcode = failure.sqlstate;
    made->message = pstrdup(failure.message);
    if (failure.detail[0] != '\0') made->detail = pstrdup(failure.detail);
    if (failure.hint[0] != '\0') made->hint = pstrdup(failure.hint);
    made->assoc_context = CurrentMemoryContext;
    return made;
}

bool ends_the_call(const ErrorData *error) {
    return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
           ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}
} // namespace

std::string Refusal::sqlstate() const { return error == nullptr ? "" : unpack_sql_state(error->sqlerrcode); }

namespace detail {
Outer begin_subtransaction() {
    return call([] {
        const Outer outer{CurrentMemoryContext, CurrentResourceOwner};
        BeginInternalSubTransaction(nullptr);
        MemoryContextSwitchTo(outer.context); // what f returns must outlive the subtransaction
        return outer;
    });
}

void release_subtransaction(const Outer &outer) {
    call([&] {
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(outer.context);
        CurrentResourceOwner = outer.owner;
    });
}

Refusal roll_back_subtransaction(const Outer &outer, const Failure &failure) {
    const ErrorData *const error = call([&]() -> const ErrorData * {
        MemoryContextSwitchTo(outer.context);
        const ErrorData *const copy = failure.edata != nullptr ? copy_error(failure.edata) : make_error(failure);
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(outer.context);
        CurrentResourceOwner = outer.owner;
        return copy;
    });
    if (ends_the_call(error)) throw PgError{const_cast<ErrorData *>(error)};
    return {error};
}
} // namespace detail

} // namespace usher::pg
