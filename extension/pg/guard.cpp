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
std::size_t copy_text(char *to, std::size_t room, std::string_view from) noexcept {
    constexpr std::size_t longest_character = 4;
    const std::size_t enough = std::min(from.size(), longest_character * room);
    const int length = pg_mbcliplen(from.data(), static_cast<int>(enough), static_cast<int>(room) - 1);
    std::memcpy(to, from.data(), length);
    to[length] = '\0';
    // It is text of this database like any other: it can be stored, as SQLERRM for instance.
    if (!pg_verifymbstr(to, length, true))
        std::replace_if(
            to, to + length, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    return static_cast<std::size_t>(length);
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
        copy_text(out.message, e.what());
        copy_text(out.detail, e.detail());
        copy_text(out.hint, e.hint());
    } catch (const std::bad_alloc &) {
        out.sqlstate = ERRCODE_OUT_OF_MEMORY;
        copy_text(out.message, "out of memory");
    } catch (const std::exception &e) {
        copy_text(out.message, e.what());
    } catch (...) {
        copy_text(out.message, "unrecognized C++ exception");
    }
}
void raise(const Failure &f) {
    if (f.edata) ReThrowError(f.edata); // SQLSTATE, detail, hint and context all kept
    ereport(ERROR, errcode(f.sqlstate), errmsg_internal("%s", f.message),
            f.detail[0] ? errdetail_internal("%s", f.detail) : 0, f.hint[0] ? errhint("%s", f.hint) : 0);
}
} // namespace usher::pg
