#include "pg/table_form.hpp"

namespace usher::pg {

namespace {
/// The expression as the server stores it for a CHECK of this table.
Node *analyze_check(Relation table, const char *definition) {
    ParseState *const state = make_parsestate(nullptr);
    state->p_sourcetext = definition;
    addNSItemToQuery(state, addRangeTableEntryForRelation(state, table, AccessShareLock, nullptr, false, true), true,
                     true, true);
    List *const parsed = raw_parser(definition, RAW_PARSE_PLPGSQL_EXPR);
    auto *const select = reinterpret_cast<SelectStmt *>(linitial_node(RawStmt, parsed)->stmt);
    Node *const written = linitial_node(ResTarget, select->targetList)->val;
    Node *const boolean = coerce_to_boolean(state, transformExpr(state, written, EXPR_KIND_CHECK_CONSTRAINT), "CHECK");
    assign_expr_collations(state, boolean);
    free_parsestate(state);
    return boolean;
}

/// A CHECK that was found to be what a writer stands for, in the form in which the server stores it.
struct KnownCheck {
    const char *definition;
    char *stored;
};

/// Does the table's CHECK say what the definition says? Compared as expressions: the text that a restore makes of it
/// differs in brackets and casts. What was found equal once is known by its stored form from then on.
bool is_check(Relation table, const char *stored, const char *definition) {
    static constinit std::array<KnownCheck, 64> known{};
    static constinit std::size_t next = 0;
    for (const KnownCheck &each : known)
        if (each.definition == definition && std::strcmp(each.stored, stored) == 0) return true;
    if (!equal(stringToNode(stored), analyze_check(table, definition))) return false;
    KnownCheck &place = known[next % known.size()];
    char *const copy = MemoryContextStrdup(TopMemoryContext, stored);
    ++next;
    if (place.stored != nullptr) pfree(place.stored);
    place = {definition, copy};
    return true;
}

/// Does the form stand for every CHECK of the table? The columns are those of the form already, so that its
/// definitions can be read as expressions on them.
bool knows_checks(Relation table, const TableForm &form) {
    const TupleConstr *const constraints = RelationGetDescr(table)->constr;
    if (constraints == nullptr || constraints->num_check == 0) return true;
    MemoryContext const scratch =
        AllocSetContextCreate(CurrentMemoryContext, "usher table checks", ALLOCSET_DEFAULT_SIZES);
    MemoryContext const caller = MemoryContextSwitchTo(scratch);
    // as the owner: whoever writes need not have the right to look into the schemas that the definitions name
    Oid user = InvalidOid;
    int security = 0;
    GetUserIdAndSecContext(&user, &security);
    SetUserIdAndSecContext(table->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE);
    const int settings = NewGUCNestLevel(); // names in the definitions are those of the script that has them
    set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                      false);
    const bool knows =
        std::all_of(constraints->check, constraints->check + constraints->num_check, [&](const ConstrCheck &check) {
            return std::any_of(form.checks.begin(), form.checks.end(),
                               [&](const char *each) { return is_check(table, check.ccbin, each); });
        });
    AtEOXact_GUC(false, settings);
    SetUserIdAndSecContext(user, security); // abort puts it back after an ERROR
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(scratch);
    return knows;
}

/// Does the trigger check a foreign key of the first column to the first of the table `referred`?
bool refers(Relation table, const Trigger &trigger, Oid referred) {
    if (trigger.tgfoid != F_RI_FKEY_CHECK_INS || trigger.tgconstrrelid != referred) return false;
    ListCell *cell = nullptr;
    foreach (cell, RelationGetFKeyList(table)) {
        const auto &key = *static_cast<const ForeignKeyCacheInfo *>(lfirst(cell));
        if (key.conoid == trigger.tgconstraint) return key.nkeys == 1 && key.conkey[0] == 1 && key.confkey[0] == 1;
    }
    return false;
}

bool has_columns(Relation table, std::span<const ColumnForm> columns) {
    const TupleDesc desc = RelationGetDescr(table);
    if (static_cast<std::size_t>(desc->natts) != columns.size()) return false;
    for (int i = 0; i < desc->natts; ++i) {
        const FormData_pg_attribute &attribute = *TupleDescAttr(desc, i);
        const ColumnForm &column = columns[i];
        if (!takes_value(attribute, column.type) || (attribute.attnotnull && !column.is_filled) ||
            std::strcmp(NameStr(attribute.attname), column.name) != 0)
            return false;
    }
    return true;
}
/// Are there triggers on INSERT, enabled or not, other than those of a foreign key of the first column to `referred`?
bool has_insert_triggers(Relation table, Oid referred = InvalidOid) {
    const TriggerDesc *const triggers = table->trigdesc;
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
        const Trigger &each = triggers->triggers[i];
        if (TRIGGER_FOR_INSERT(each.tgtype) && !(OidIsValid(referred) && refers(table, each, referred))) return true;
    }
    return false;
}

bool has_form(Relation table, const TableForm &form) {
    if (!is_plain_table(table) || table->rd_rel->relispartition != form.is_partition || table->rd_rel->relrowsecurity)
        return false;
    const Oid referred =
        form.refers_to == nullptr ? InvalidOid : get_relname_relid(form.refers_to, RelationGetNamespace(table));
    return !has_insert_triggers(table, referred) && has_columns(table, form.columns) && knows_checks(table, form);
}
} // namespace

void require_insert_allowed() {
    PreventCommandIfReadOnly("INSERT");
    PreventCommandIfParallelMode("INSERT");
}

bool may_insert(Oid table) { return pg_class_aclcheck(table, GetUserId(), ACL_INSERT) == ACLCHECK_OK; }

bool is_plain_table(Relation table) {
    const Form_pg_class form = table->rd_rel;
    return form->relkind == RELKIND_RELATION && form->relam == HEAP_TABLE_AM_OID && table->rd_rules == nullptr;
}

bool takes_value(const FormData_pg_attribute &column, Oid type) {
    return !column.attisdropped && column.atttypid == type && column.atttypmod < 0 && column.attgenerated == '\0' &&
           column.attidentity == '\0';
}

bool is_index_of_columns(const IndexInfo &index) {
    return index.ii_Expressions == NIL &&
           std::all_of(index.ii_IndexAttrNumbers, index.ii_IndexAttrNumbers + index.ii_NumIndexAttrs,
                       [](AttrNumber number) { return number > 0; });
}

bool admits_rows(Relation table, Bypass bypass, const TableForm *form) {
    const Form_pg_class row = table->rd_rel;
    switch (bypass) {
    case Bypass::all: return form != nullptr && has_form(table, *form);
    case Bypass::planning:
        return is_plain_table(table) && !row->relispartition &&
               check_enable_rls(RelationGetRelid(table), InvalidOid, true) != RLS_ENABLED &&
               may_insert(RelationGetRelid(table));
    case Bypass::parent:
        return table->rd_rules == nullptr && !row->relrowsecurity && !row->relispartition &&
               !has_insert_triggers(table) &&
               pg_class_aclcheck(RelationGetRelid(table), row->relowner, ACL_INSERT) == ACLCHECK_OK;
    }
    return false;
}

} // namespace usher::pg
