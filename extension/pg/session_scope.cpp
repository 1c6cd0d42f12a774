#include "pg/session_scope.hpp"
#include "pg/subxact.hpp"

namespace usher::pg {

constinit SessionScope *SessionScope::current = nullptr;

struct SessionHook {
    static constinit inline ProcessUtility_hook_type next = nullptr;
    static void run(PlannedStmt *statement, const char *text, bool is_read_only, ProcessUtilityContext context,
                    ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *destination,
                    QueryCompletion *completion) {
        if (SessionScope::current != nullptr) SessionScope::on_utility(statement->utilityStmt);
        (next != nullptr ? next : standard_ProcessUtility)(statement, text, is_read_only, context, parameters,
                                                           environment, destination, completion);
    }
};

namespace {
bool has_temporary_objects() {
    Oid schema, toast_schema;
    GetTempNamespaceState(&schema, &toast_schema);
    if (!OidIsValid(schema)) return false;
    Relation const depend = table_open(DependRelationId, AccessShareLock);
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(NamespaceRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
    SysScanDesc const scan = systable_beginscan(depend, DependReferenceIndexId, true, nullptr, 2, keys);
    const bool found = HeapTupleIsValid(systable_getnext(scan));
    systable_endscan(scan);
    table_close(depend, AccessShareLock);
    return found;
}
} // namespace

void SessionScope::install() {
    static constinit bool installed = false;
    if (installed) return;
    SessionHook::next = std::exchange(ProcessUtility_hook, SessionHook::run);
    installed = true;
}

SessionScope::SessionScope() : outer_(current) {
    install();
    call([this] {
        had_locks_ = holds_locks(USER_LOCKMETHOD);
        had_temporary_objects_ = has_temporary_objects();
        settings_ = NewGUCNestLevel();
    });
    current = this;
}

// Plain frame. Noted before it happens: what fails has left nothing to be found.
void SessionScope::on_utility(const Node *statement) {
    if (IsA(statement, ListenStmt)) {
        current->note(Kind::channel, reinterpret_cast<const ListenStmt *>(statement)->conditionname);
    } else if (IsA(statement, PrepareStmt)) {
        current->note(Kind::prepared, reinterpret_cast<const PrepareStmt *>(statement)->name);
    } else if (IsA(statement, DeclareCursorStmt)) {
        const auto *const cursor = reinterpret_cast<const DeclareCursorStmt *>(statement);
        if ((cursor->options & CURSOR_OPT_HOLD) != 0) current->note(Kind::cursor, cursor->portalname);
    }
}

void SessionScope::note(Kind kind, const char *name) {
    if (count_ == left_.size()) {
        overflowed_ = true;
        return;
    }
    left_[count_].kind = kind;
    strlcpy(left_[count_].name, name, NAMEDATALEN);
    ++count_;
}

// Plain frame.
void SessionScope::take_back() const {
    for (std::size_t i = 0; i < count_; ++i) {
        const char *const name = left_[i].name;
        switch (left_[i].kind) {
        case Kind::channel: Async_Unlisten(name); break;
        case Kind::prepared: DropPreparedStatement(name, false); break;
        case Kind::cursor:
            if (Portal const portal = GetPortalByName(name); PortalIsValid(portal)) PortalDrop(portal, false);
            break;
        }
    }
    if (!had_temporary_objects_ && has_temporary_objects()) ResetTempTableNamespace();
}

bool SessionScope::undo() {
    const bool has_locks = !had_locks_ && call([] { return holds_locks(USER_LOCKMETHOD); });
    if (has_locks) call([] { LockReleaseSession(USER_LOCKMETHOD); }); // those of the transaction stay until its end
    Refusal refused;
    const bool is_suspicious = count_ > 0 || (!had_temporary_objects_ && call([] { return has_temporary_objects(); }));
    if (is_suspicious) refused = attempt([this] { call([this] { take_back(); }); });
    call([this] { AtEOXact_GUC(false, settings_); });
    return !refused && !overflowed_;
}

} // namespace usher::pg
