// The row trigger of points_entries: account and lots follow from an entry in the statement that adds it, whoever adds
// it. It locks the account first, so entries of one customer come one after the other.
#include "usher_loyalty/loyalty_kit.hpp"
#include "usher_loyalty/points/following.hpp"
#include "usher_loyalty/points/lots.hpp"
#include "usher_loyalty/rules/earning.hpp"
#include <limits>

namespace usher::loyalty {

namespace {
enum Column : std::uint8_t {
    id,
    customer_id,
    kind,
    points,
    source_type,
    source_id,
    rule_code,
    reverses,
    expires_at,
    note,
    occurred_at,
};
constexpr std::array forms{
    ColumnForm{"id", UUIDOID},
    ColumnForm{"customer_id", UUIDOID},
    ColumnForm{"kind", TEXTOID},
    ColumnForm{"points", INT8OID},
    ColumnForm{"source_type", TEXTOID},
    ColumnForm{"source_id", UUIDOID},
    ColumnForm{"rule_code", TEXTOID},
    ColumnForm{"reverses", UUIDOID},
    ColumnForm{"expires_at", TIMESTAMPTZOID},
    ColumnForm{"note", TEXTOID},
    ColumnForm{"occurred_at", TIMESTAMPTZOID},
};
constinit Columns<forms.size()> columns{forms};

constinit Statement lock_account{R"(
    SELECT a.balance, a.debt, a.closed_at IS NOT NULL
    FROM @.points_accounts AS a
    WHERE a.customer_id = $1 FOR NO KEY UPDATE)"};
constinit Statement change_account{R"(
    UPDATE @.points_accounts AS a
    SET balance = a.balance + $2, debt = a.debt + $3
    WHERE a.customer_id = $1
    RETURNING a.balance, a.debt)"};
// In one step, for what needs to know nothing of the account before.
constinit Statement credit_account{R"(
    UPDATE @.points_accounts AS a
    SET balance = a.balance + greatest($2 - a.debt, 0), debt = greatest(a.debt - $2, 0)
    WHERE a.customer_id = $1 AND a.closed_at IS NULL
    RETURNING a.balance, a.debt)"};
constinit Statement read_lots{R"(
    SELECT l.id, l.points_left, coalesce(l.expires_at <= $2, false)
    FROM @.points_lots AS l
    WHERE l.customer_id = $1 AND l.points_left > 0
    ORDER BY l.id)"};
constinit Statement read_taken{R"(
    SELECT u.lot_id, (-sum(u.points))::bigint
    FROM @.points_lot_uses AS u
    WHERE u.entry_id = $1 OR u.entry_id IN (SELECT e.id FROM @.points_entries AS e WHERE e.reverses = $1 AND e.id <> $2)
    GROUP BY u.lot_id
    ORDER BY u.lot_id)"};
constinit Statement read_reversed{R"(
    SELECT e.customer_id, e.kind, e.points,
           coalesce((SELECT sum(r.points + coalesce((SELECT sum(b.points) FROM @.points_entries AS b
                                                     WHERE b.reverses = r.id), 0))
                     FROM @.points_entries AS r WHERE r.reverses = e.id AND r.id <> $2), 0)::bigint
    FROM @.points_entries AS e
    WHERE e.id = $1)"};
constinit Statement insert_lot{R"(
    INSERT INTO @.points_lots (id, customer_id, points, points_left, expires_at)
    VALUES ($1, $2, $3, $4, $5))"};
constinit Statement change_lots{R"(
    WITH change AS (SELECT * FROM unnest($2::uuid[], $3::text[]) AS c (lot_id, points)),
        noted AS (INSERT INTO @.points_lot_uses (entry_id, lot_id, points)
                  SELECT $1, c.lot_id, c.points::bigint FROM change AS c)
    UPDATE @.points_lots AS l
    SET points_left = l.points_left + c.points::bigint
    FROM change AS c
    WHERE l.id = c.lot_id)"};
constinit Statement insert_expiry{R"(
    INSERT INTO @.points_entries (customer_id, kind, points, rule_code)
    VALUES ($1, 'expire', $2, 'expiry'))"};

bool is_code(std::string_view text) {
    const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    return !text.empty() && text.size() <= 63 && text[0] >= 'a' && text[0] <= 'z' &&
           std::all_of(text.begin(), text.end(), fits);
}

bool is_finite(const std::optional<Instant> &time) {
    return !time || (*time != std::numeric_limits<Instant>::max() && *time != std::numeric_limits<Instant>::min());
}

struct Entry {
    const Schema &schema;
    const TableRow &row;
    [[nodiscard]] Uuid customer() const { return row.uuid(customer_id); }
    [[nodiscard]] bool is(std::string_view which) const { return row.text(kind) == which; }
    [[nodiscard]] std::int64_t size() const { return std::abs(row.int8(points)); }
};

bool adds(const Entry &entry) { return entry.is("earn") || entry.is("restore") || entry.is("give_back"); }

/// What kind of entries it reverses; empty for one that reverses none.
std::string_view target_of(const Entry &entry) {
    if (entry.is("give_back")) return "spend";
    if (entry.is("take_back")) return "earn";
    if (entry.is("restore")) return "take_back";
    return "";
}

/// What else must be true of an entry by itself.
void check_form(const Entry &entry) {
    const TableRow &row = entry.row;
    const auto refuse = [](const char *column, const char *message) {
        throw Error(errc::invalid_argument, message, json::Object().add("argument", column).text());
    };
    const std::int64_t size = row.int8(points);
    if (!entry.is("earn") && !entry.is("restore") && !entry.is("give_back") && !entry.is("spend") &&
        !entry.is("take_back") && !entry.is("expire") && !entry.is("adjust"))
        refuse("kind", "kind of an entry is not known");
    if (size == 0 || size > most_points || size < -most_points || (!entry.is("adjust") && (size > 0) != adds(entry)))
        refuse("points", "points of an entry must have the sign of its kind, and be at most a million millions");
    if (row.is_null(source_type) != row.is_null(source_id))
        refuse("source_id", "source_type and source_id belong together");
    if (!row.is_null(source_type) && !is_code(row.text(source_type)))
        refuse("source_type", "source_type must be a word of a-z, 0-9 and _, of 63 characters at most");
    if (!is_code(row.text(rule_code)))
        refuse("rule_code", "rule_code must be a word of a-z, 0-9 and _, of 63 characters at most");
    if (row.is_null(reverses) == !target_of(entry).empty())
        refuse("reverses", "what is given or taken back, or restored, reverses an entry, and nothing else does");
    if (!row.is_null(expires_at) && !entry.is("earn") && !entry.is("adjust") && !entry.is("restore"))
        refuse("expires_at", "only what is earned expires");
    if (!is_finite(row.optional_time(expires_at)) || !is_finite(row.optional_time(occurred_at)))
        refuse("expires_at", "times of an entry must be finite");
    if (row.text(note).size() > 2000) refuse("note", "note is too long");
}

[[noreturn]] void refuse_spending(const Entry &entry, std::int64_t balance) {
    throw Error(
        errc::insufficient_points, "customer has not so many points",
        json::Object().add("customer_id", entry.customer()).add("points", entry.size()).add("balance", balance).text());
}

struct Lots {
    std::vector<Lot> all;
    std::int64_t overdue = 0; // points of lots whose time is over
};

Lots load_lots(const Entry &entry) {
    Lots out;
    const pg::Rows rows =
        read_lots.run(entry.schema, {pg::uuid(entry.customer()), pg::timestamptz(pg::statement_time())});
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const pg::Row row = rows[i];
        if (row.boolean(2)) out.overdue += row.int8(1);
        // An entry that expires takes what is overdue, which need not be the oldest.
        if (entry.is("expire") == row.boolean(2)) out.all.push_back({row.uuid(0), row.int8(1)});
    }
    return out;
}

/// What is reversed: checks that the entry fits it.
void check_reversal(const Entry &entry) {
    const Uuid target = entry.row.uuid(reverses);
    const pg::Rows found = read_reversed.run(entry.schema, {pg::uuid(target), pg::uuid(entry.row.uuid(id))});
    if (found.empty()) return; // the foreign key refuses
    const pg::Row reversed = found.front();
    const std::int64_t left = std::abs(reversed.int8(2)) - std::abs(reversed.int8(3));
    if (reversed.uuid(0) != entry.customer() || reversed.text(1) != target_of(entry))
        throw Error(errc::invalid_argument, "entry does not fit the one that it reverses",
                    json::Object().add("reverses", target).text());
    if (entry.size() > left)
        throw Error(errc::invalid_argument, "more is reversed than is left of an entry",
                    json::Object().add("reverses", target).add("points", entry.size()).add("left", left).text());
}

Posting decide_debit(const Entry &entry, std::int64_t balance) {
    Lots lots = load_lots(entry);
    if (!entry.is("expire") && lots.overdue > 0) {
        insert_expiry.run(entry.schema, {pg::uuid(entry.customer()), pg::int8(-lots.overdue)});
        balance -= lots.overdue;
    }
    if (entry.is("take_back")) { // of the lot that the points came from first
        const Uuid own = entry.row.uuid(reverses);
        std::stable_partition(lots.all.begin(), lots.all.end(), [&](const Lot &each) { return each.id == own; });
    }
    const std::optional<Posting> posting = take(entry.size(), lots.all, entry.is("take_back"));
    if (!posting) refuse_spending(entry, balance);
    return *posting;
}

Posting decide(const Entry &entry, std::int64_t balance, std::int64_t debt) {
    if (!entry.row.is_null(reverses)) check_reversal(entry);
    if (entry.row.int8(points) < 0) return decide_debit(entry, balance);
    std::vector<Lot> taken;
    const pg::Rows rows =
        read_taken.run(entry.schema, {pg::uuid(entry.row.uuid(reverses)), pg::uuid(entry.row.uuid(id))});
    for (std::size_t i = 0; i < rows.size(); ++i) taken.push_back({rows[i].uuid(0), rows[i].int8(1)});
    const std::optional<Posting> posting = give_back(entry.size(), debt, taken);
    if (!posting) throw Error("XX000", "internal error: lots of a spending do not add up");
    return *posting;
}

/// Without planning: each entry that is earned makes one.
void add_lot(const Entry &entry, std::int64_t size) {
    static constexpr std::array lot_columns{"id", "customer_id", "points", "points_left", "expires_at"};
    const std::array<pg::Param, 5> row{pg::uuid(entry.row.uuid(id)), pg::uuid(entry.customer()), pg::int8(size),
                                       pg::int8(size), pg::timestamptz_or_null(entry.row.optional_time(expires_at))};
    const Oid table = pg::call([&] { return get_relname_relid("points_lots", entry.schema.oid()); });
    if (!pg::insert_with_triggers(table, lot_columns, row)) insert_lot.run(entry.schema, row);
}

[[noreturn]] void refuse_closed(const Entry &entry) {
    throw Error(errc::points_account_closed, "account of points is closed",
                json::Object().add("customer_id", entry.customer()).text());
}

/// What is earned, or earned again. Nothing when there is no account.
pg::Rows credit(const Entry &entry) {
    const Following now;
    const pg::Rows changed = credit_account.run(entry.schema, {pg::uuid(entry.customer()), pg::int8(entry.size())});
    if (changed.empty()) {
        if (!lock_account.run(entry.schema, {pg::uuid(entry.customer())}).empty()) refuse_closed(entry);
        return changed;
    }
    if (!entry.row.is_null(reverses)) check_reversal(entry);
    const std::int64_t lot = lot_of(entry.size(), changed.front().int8(0));
    if (lot > 0) add_lot(entry, lot);
    return changed;
}

/// Whose lots and account follow.
pg::Rows follow(const Entry &entry, const Posting &posting) {
    const Following now;
    const Uuid entry_id = entry.row.uuid(id), customer = entry.customer();
    if (!posting.lots.empty()) {
        std::vector<Uuid> lots;
        std::vector<std::string> parts;
        for (const LotChange &each : posting.lots) {
            lots.push_back(each.id);
            parts.push_back(std::to_string(each.points));
        }
        change_lots.run(entry.schema, {pg::uuid(entry_id), pg::uuid_array(lots), pg::text_array(parts)});
    }
    return change_account.run(entry.schema, {pg::uuid(customer), pg::int8(posting.balance), pg::int8(posting.debt)});
}

/// What is taken or given back. Nothing when there is no account.
pg::Rows post(const Entry &entry) {
    const pg::Rows accounts = lock_account.run(entry.schema, {pg::uuid(entry.customer())});
    if (accounts.empty()) return accounts;
    const pg::Row account = accounts.front();
    const bool goes_on = entry.is("take_back") || entry.is("expire") || entry.is("give_back");
    if (account.boolean(2) && !goes_on) refuse_closed(entry);
    return follow(entry, decide(entry, account.int8(0), account.int8(1)));
}

const char *event_of(const Entry &entry) {
    if (entry.is("earn")) return "loyalty.points_earned";
    if (entry.is("spend")) return "loyalty.points_spent";
    if (entry.is("give_back")) return "loyalty.points_given_back";
    if (entry.is("take_back")) return "loyalty.points_taken_back";
    if (entry.is("restore")) return "loyalty.points_restored";
    if (entry.is("expire")) return "loyalty.points_expired";
    return "loyalty.points_adjusted";
}

void announce(const Entry &entry, const pg::Row &account) {
    json::Object object;
    object.add("entry_id", entry.row.uuid(id)).add("customer_id", entry.customer());
    object.add("points", entry.row.int8(points)).add("balance", account.int8(0)).add("debt", account.int8(1));
    object.add("rule", entry.row.text(rule_code));
    if (!entry.row.is_null(source_id))
        object.add("source_type", entry.row.text(source_type)).add("source_id", entry.row.uuid(source_id));
    kit::publish(event_of(entry), object.text(), to_string(entry.customer()));
}
} // namespace

} // namespace usher::loyalty

/// _post_entry(): AFTER INSERT on points_entries, for each row
USHER_FUNCTION(usher_loyalty_post_entry) {
    using namespace usher;
    using namespace usher::loyalty;
    const RowTrigger trigger(fcinfo, false, "points_entries");
    if (kit::is_restoring() || trigger.is_update) return Datum{0};
    const Relation relation = trigger.data->tg_relation;
    const TableRow row(trigger.after(), relation, columns.look_up(relation));
    const Entry entry{trigger.schema, row};
    check_form(entry);
    const bool is_new_credit = row.int8(points) > 0 && !entry.is("give_back");
    const pg::Rows changed = is_new_credit ? credit(entry) : post(entry);
    if (!changed.empty()) announce(entry, changed.front()); // else the foreign key refuses
    return Datum{0};
}
