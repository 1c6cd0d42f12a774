#include "pg/guard.hpp"
namespace usher::pg {
void throw_pending(MemoryContext cxt) {
    const HandlerScope handler;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here; // copying allocates, so it can fail as well
        MemoryContextSwitchTo(CurTransactionContext ? CurTransactionContext : TopMemoryContext);
        ErrorData *edata = CopyErrorData(); // outlives any context freed on the way up
        FlushErrorState();
        MemoryContextSwitchTo(cxt);
        throw PgError{edata};
    }
    handler.restore();
    MemoryContextSwitchTo(cxt);
    FlushErrorState();
    throw std::bad_alloc{};
}
template <std::size_t N> static void keep(char (&to)[N], std::string_view from) noexcept { // cut at a character
    const int n = pg_mbcliplen(from.data(), static_cast<int>(std::min(from.size(), 4 * N)), N - 1);
    std::memcpy(to, from.data(), n);
    to[n] = '\0';
}
void capture(Failure &out) noexcept {
    out.edata = nullptr;
    out.sqlstate = ERRCODE_INTERNAL_ERROR;
    out.message[0] = out.detail[0] = out.hint[0] = '\0';
    try {
        throw;
    } catch (const PgError &e) {
        out.edata = e.edata;
    } catch (const Error &e) {
        const std::string &s = e.sqlstate();
        out.sqlstate = MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]);
        keep(out.message, e.what());
        keep(out.detail, e.detail());
        keep(out.hint, e.hint());
    } catch (const std::bad_alloc &) {
        out.sqlstate = ERRCODE_OUT_OF_MEMORY;
        keep(out.message, "out of memory");
    } catch (const std::exception &e) {
        keep(out.message, e.what());
    } catch (...) {
        keep(out.message, "unrecognized C++ exception");
    }
}
void raise(const Failure &f) {
    if (f.edata) ReThrowError(f.edata); // SQLSTATE, detail, hint and context all kept
    ereport(ERROR, errcode(f.sqlstate), errmsg_internal("%s", f.message),
            f.detail[0] ? errdetail_internal("%s", f.detail) : 0, f.hint[0] ? errhint("%s", f.hint) : 0);
}
} // namespace usher::pg
