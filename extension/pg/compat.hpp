// Differences between PostgreSQL 15 and 19, all of them; PG_VERSION_NUM stands nowhere else.
// Included at the end of pg.hpp only.
#pragma once

#if PG_VERSION_NUM < 150000
#error "usher needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
extern "C" {
#include "varatt.h"
}
#endif

namespace usher::pg {

// Only the library of usher itself says its name: extensions of others that stand on the kit have this header too.
#if PG_VERSION_NUM >= 180000 && defined(USHER_VERSION)
#define USHER_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "usher", .version = USHER_VERSION)
#else
#define USHER_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#if PG_VERSION_NUM < 160000
/// The check itself exists since 16 under this name.
inline bool object_ownercheck_namespace(Oid namespace_oid, Oid role) {
    return pg_namespace_ownercheck(namespace_oid, role);
}
inline RangeType *make_range(TypeCacheEntry *type, RangeBound *lower, RangeBound *upper) {
    return ::make_range(type, lower, upper, false);
}
inline bool may_execute(Oid function, Oid role) { return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK; }
#else
inline RangeType *make_range(TypeCacheEntry *type, RangeBound *lower, RangeBound *upper) {
    return ::make_range(type, lower, upper, false, nullptr);
}
inline bool may_execute(Oid function, Oid role) {
    return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
}
inline bool object_ownercheck_namespace(Oid namespace_oid, Oid role) {
    return object_ownercheck(NamespaceRelationId, namespace_oid, role);
}
#endif

/// Returns the constraints that are to be checked later.
inline List *insert_index_entries(ResultRelInfo *relation, TupleTableSlot *slot, EState *estate) {
#if PG_VERSION_NUM < 160000
    return ExecInsertIndexTuples(relation, slot, estate, false, false, nullptr, NIL);
#elif PG_VERSION_NUM < 190000
    return ExecInsertIndexTuples(relation, slot, estate, false, false, nullptr, NIL, false);
#else
    return ExecInsertIndexTuples(relation, estate, 0, slot, NIL, nullptr);
#endif
}
/// The same for a row that was inserted speculatively: a violated constraint is told, not raised.
inline bool insert_index_entries_unless_conflict(ResultRelInfo *relation, TupleTableSlot *slot, EState *estate) {
    bool conflict = false;
#if PG_VERSION_NUM < 160000
    list_free(ExecInsertIndexTuples(relation, slot, estate, false, true, &conflict, NIL));
#elif PG_VERSION_NUM < 190000
    list_free(ExecInsertIndexTuples(relation, slot, estate, false, true, &conflict, NIL, false));
#else
    list_free(ExecInsertIndexTuples(relation, estate, EIIT_NO_DUPE_ERROR, slot, NIL, &conflict));
#endif
    return !conflict;
}

using TreeWalker = bool (*)(Node *node, void *context);
#if PG_VERSION_NUM < 160000
// The server declared walkers as functions without arguments, which says nothing in C and something else in C++.
inline auto old_walker(TreeWalker walker) { return reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)); }
inline bool walk_query(Query *query, TreeWalker walker, void *context) {
    return query_tree_walker(query, old_walker(walker), context, 0);
}
inline bool walk_expression(Node *node, TreeWalker walker, void *context) {
    return expression_tree_walker(node, old_walker(walker), context);
}
#define USHER_CHECK_PERMISSIONS_ARGUMENTS List *relations, bool may_raise
#define USHER_CHECK_PERMISSIONS_VALUES relations, may_raise
#else
inline bool walk_query(Query *query, TreeWalker walker, void *context) {
    return query_tree_walker(query, walker, context, 0);
}
inline bool walk_expression(Node *node, TreeWalker walker, void *context) {
    return expression_tree_walker(node, walker, context);
}
#define USHER_CHECK_PERMISSIONS_ARGUMENTS List *relations, List *permissions, bool may_raise
#define USHER_CHECK_PERMISSIONS_VALUES relations, permissions, may_raise
#endif

#if PG_VERSION_NUM < 170000
/// Index methods keep nothing from entry to entry that has to be released.
inline void end_index_inserts(Relation, IndexInfo *) {}
#else
inline void end_index_inserts(Relation index, IndexInfo *info) { index_insert_cleanup(index, info); }
#endif

#if PG_VERSION_NUM < 190000
using SystemCache = int;
using JsonbState = JsonbParseState *;
inline JsonbValue *push_jsonb(JsonbState &state, JsonbIteratorToken token, JsonbValue *value = nullptr) {
    return pushJsonbValue(&state, token, value);
}
inline HTAB *make_shared_hash(const char *name, long capacity, HASHCTL &control, int flags) {
    return ShmemInitHash(name, capacity, capacity, &control, flags);
}
inline void finish_columns(TupleDesc) {}
#define USHER_PLAN_ARGUMENTS Query *query, const char *text, int options, ParamListInfo parameters
#define USHER_PLAN_VALUES query, text, options, parameters
#else
using SystemCache = SysCacheIdentifier;
using JsonbState = JsonbInState;
/// Returns the value when it is complete.
inline JsonbValue *push_jsonb(JsonbState &state, JsonbIteratorToken token, JsonbValue *value = nullptr) {
    pushJsonbValue(&state, token, value);
    return state.result;
}
inline HTAB *make_shared_hash(const char *name, long capacity, HASHCTL &control, int flags) {
    return ShmemInitHash(name, capacity, &control, flags);
}
/// Works out where columns lie, which reading a row takes as given.
inline void finish_columns(TupleDesc columns) { TupleDescFinalize(columns); }
#define USHER_PLAN_ARGUMENTS                                                                                           \
    Query *query, const char *text, int options, ParamListInfo parameters, ExplainState *explain
#define USHER_PLAN_VALUES query, text, options, parameters, explain
#endif

/// Does this backend hold a lock of the method? Asks the shared table, from which only this backend removes its own.
inline bool holds_locks(LOCKMETHODID method) {
    bool found = false;
    for (int i = 0; i < NUM_LOCK_PARTITIONS && !found; ++i) {
        auto *const locks = &MyProc->myProcLocks[i];
#if PG_VERSION_NUM < 160000
        if (SHMQueueEmpty(locks)) continue;
        LWLockAcquire(LockHashPartitionLockByIndex(i), LW_SHARED);
        constexpr std::size_t link = offsetof(PROCLOCK, procLink);
        for (auto *each = reinterpret_cast<PROCLOCK *>(SHMQueueNext(locks, locks, link)); each != nullptr;
             each = reinterpret_cast<PROCLOCK *>(SHMQueueNext(locks, &each->procLink, link)))
            found = found || LOCK_LOCKMETHOD(*each->tag.myLock) == method;
#else
        if (dlist_is_empty(locks)) continue;
        LWLockAcquire(LockHashPartitionLockByIndex(i), LW_SHARED);
        // dlist_foreach and dlist_container are C only
        for (const dlist_node *at = locks->head.next; at != &locks->head; at = at->next) {
            const auto *const each =
                reinterpret_cast<const PROCLOCK *>(reinterpret_cast<const char *>(at) - offsetof(PROCLOCK, procLink));
            found = found || LOCK_LOCKMETHOD(*each->tag.myLock) == method;
        }
#endif
        LWLockRelease(LockHashPartitionLockByIndex(i));
    }
    return found;
}

/// Since 18 a generated column may be virtual: rows do not hold its value, whoever reads it by a query computes it.
inline bool is_virtual(const FormData_pg_attribute &attribute) { return attribute.attgenerated == 'v'; }

} // namespace usher::pg
