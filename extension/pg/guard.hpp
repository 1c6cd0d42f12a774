// The only place where a PostgreSQL ERROR and a C++ exception meet.
//
// Two kinds of frame. A plain frame owns only trivially destructible locals and may call the server directly: an ERROR
// may jump over it. A C++ frame owns objects with destructors and calls the server through pg::call only, which turns
// an ERROR into a PgError exception. Everything that the server calls goes through pg::entry, which turns any exception
// back into an ERROR once no C++ object is alive. The lambda given to pg::call owns nothing: an ERROR skips its locals.
#pragma once
#include "common/error.hpp" // usher::Error: sqlstate(), what(), detail(), hint(); includes no server header
#include "pg/pg.hpp"        // standard headers, then every server header inside one extern "C"
namespace usher::pg {

struct PgError {
    ErrorData *edata;
}; // an ERROR on its way up

struct Failure { // what outlives an exception: plain bytes
    ErrorData *edata = nullptr;
    int sqlstate = ERRCODE_INTERNAL_ERROR;
    char message[1024] = "", detail[1024] = "", hint[512] = "";
};
/// Of entry(): between catching and raising nothing else runs, so one will do, and no call pays for its own.
inline constinit Failure caught;
/// Copies as much of a text as there is room for, with a zero at its end, and cuts it between two characters of the
/// database's encoding; what is no text in that encoding gets question marks. Returns its length.
std::size_t copy_text(char *to, std::size_t room, std::string_view from) noexcept;
template <std::size_t room> std::size_t copy_text(char (&to)[room], std::string_view from) noexcept {
    return copy_text(to, room, from);
}
void capture(Failure &out) noexcept;             // call inside catch (...)
[[noreturn]] void raise(const Failure &failure); // call outside any catch
[[noreturn]] void throw_pending(MemoryContext cxt);

class HandlerScope { // puts the server's error handler back, on return and on throw
public:
    ~HandlerScope() { restore(); }
    void restore() const noexcept {
        PG_exception_stack = stack_;
        error_context_stack = context_;
    }

private:
    sigjmp_buf *stack_ = PG_exception_stack;
    ErrorContextCallback *context_ = error_context_stack;
};

/// Runs a call into the server; an ERROR in it arrives as PgError in the caller's frame.
template <class F> [[gnu::noinline]] auto call(F &&f) -> std::invoke_result_t<F &> {
    using R = std::invoke_result_t<F &>;
    static_assert(std::is_void_v<R> || std::is_trivially_copyable_v<R>, "return a plain value");
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<F>>, "capture by reference");
    const HandlerScope handler;
    const MemoryContext cxt = CurrentMemoryContext;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here;
        return f();
    }
    handler.restore();
    throw_pending(cxt);
}

/// The body of every function the server calls.
template <class F> auto entry(F &&f) -> std::invoke_result_t<F &> {
    const MemoryContext cxt = CurrentMemoryContext;
    try {
        return f();
    } catch (...) {
        capture(caught);
    }
    MemoryContextSwitchTo(cxt); // the exception object is gone: now we may jump
    raise(caught);
}

/// Lets a cancel or a shutdown request through, and refuses to go deeper when the stack is used up; call it in long
/// loops and in recursions.
inline void poll() {
    if (unlikely(InterruptPending)) call([] { ProcessInterrupts(); });
    if (unlikely(stack_is_too_deep())) call([] { check_stack_depth(); });
}
} // namespace usher::pg

/// Declares the C symbol `name` of an SQL function.
#define USHER_SYMBOL(name)                                                                                             \
    extern "C" {                                                                                                       \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                                          \
    PG_FUNCTION_INFO_V1(name);                                                                                         \
    }

/// Defines the C symbol `name` of an SQL function; the braces that follow are its body, with `fcinfo` in scope.
#define USHER_FUNCTION(name)                                                                                           \
    USHER_SYMBOL(name)                                                                                                 \
    static Datum name##_body(FunctionCallInfo fcinfo);                                                                 \
    Datum name(PG_FUNCTION_ARGS) {                                                                                     \
        return usher::pg::entry([fcinfo] { return name##_body(fcinfo); });                                             \
    }                                                                                                                  \
    static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
