// Test functions for the C++ boundary (extension/pg): each provokes one trap. Built into a library of its own, with its
// own copy of extension/pg, so that nothing of it is in the product. test/t/all_boundary.pl calls them.
#include "common/error.hpp"
#include "pg/args.hpp"
#include "pg/direct_insert.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/subxact.hpp"
#include <stdexcept>

extern "C" {
PG_MODULE_MAGIC;
}

using namespace usher;

namespace {
int live = 0; // how many Counted exist now

struct Counted {
    Counted() { ++live; }
    ~Counted() { --live; }
    Counted(const Counted &) = delete;
    Counted &operator=(const Counted &) = delete;
    std::string payload = std::string(4096, 'x'); // large enough that a leak shows in the process's memory
};

Datum integer(int value) { return pg::result(pg::int4(value)); }
} // namespace

/// How many objects are alive: 0 whenever no function runs.
USHER_FUNCTION(boundary_live) { return integer(live); }

/// Throws by kind: what each C++ exception becomes.
USHER_FUNCTION(boundary_throw) {
    const Counted counted;
    const std::string kind(pg::Args(fcinfo).text(0));
    if (kind == "usher") throw Error("US001", "message", R"({"key": 1})", "Hint.");
    if (kind == "standard") throw std::runtime_error("runtime error");
    if (kind == "foreign") throw 42;
    if (kind == "memory") return integer(static_cast<int>(std::string(std::size_t{1} << 46, 'x').size()));
    if (kind == "long")
        throw Error("22023", std::string(1 << 20, 'm'), std::string(1 << 20, 'd'), std::string(1 << 20, 'h'));
    return integer(0);
}

/// An ERROR of the server while C++ objects are alive; `depth` frames below.
USHER_FUNCTION(boundary_ereport) {
    const pg::Args args(fcinfo);
    struct Recursion {
        static void go(int depth) {
            const Counted counted;
            if (depth > 0) return go(depth - 1);
            pg::call([] {
                if (live > 0)
                    ereport(ERROR, errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("from the server"),
                            errdetail("The detail."), errhint("The hint."));
            });
        }
    };
    Recursion::go(args.int4(0));
    return integer(0);
}

/// Runs until it is cancelled, with an object alive.
USHER_FUNCTION(boundary_loop) {
    const Counted counted;
    for (;;) pg::poll();
}

/// The object of a plain flag instead of a function-local static: fails the first time, works the second.
USHER_FUNCTION(boundary_initialise) {
    static constinit bool ready = false;
    static constinit int attempts = 0;
    if (!ready) {
        ++attempts;
        pg::call([] {
            if (attempts == 1) elog(ERROR, "the first initialisation fails");
        });
        ready = true;
    }
    return integer(attempts);
}

/// Goes on after an ERROR by an internal subtransaction: returns the SQLSTATE and message of the statement, or
/// 'committed'.
USHER_FUNCTION(boundary_attempt) {
    const Counted counted;
    const std::string sql(pg::Args(fcinfo).text(0));
    const pg::Refusal refusal = pg::attempt([&] {
        const Counted inside;
        pg::call([&] {
            SPI_connect();
            SPI_execute(sql.c_str(), false, 0);
            SPI_finish();
        });
    });
    const std::string answer = refusal ? refusal.sqlstate() + " " + refusal.error->message : "committed";
    return pg::result(pg::text(answer));
}

namespace {
/// Elements of a text array as C strings that live as long as the function; nullptr for NULL.
std::span<const char *> texts(Datum array) {
    struct List {
        const char **elements;
        int count;
    };
    const List list = pg::call([&] {
        Datum *values = nullptr;
        bool *nulls = nullptr;
        int count = 0;
        deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
        auto **const made = static_cast<const char **>(MemoryContextAllocZero(
            TopMemoryContext, sizeof(char *) * static_cast<std::size_t>(count + 1))); // forms are known by address
        MemoryContext const caller = MemoryContextSwitchTo(TopMemoryContext);
        for (int i = 0; i < count; ++i) made[i] = nulls[i] ? nullptr : TextDatumGetCString(values[i]);
        MemoryContextSwitchTo(caller);
        return List{made, count};
    });
    return {list.elements, static_cast<std::size_t>(list.count)};
}

/// Names that begin with n are those of integers, others of text.
std::vector<pg::Param> parameters(std::span<const char *> names, std::span<const char *> values) {
    std::vector<pg::Param> made;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const bool is_number = names[i][0] == 'n';
        if (values[i] == nullptr)
            made.push_back(pg::null(is_number ? INT4OID : TEXTOID));
        else
            made.push_back(is_number ? pg::int4(std::atoi(values[i])) : pg::text(values[i]));
    }
    return made;
}
} // namespace

/// boundary_insert(relation, names, values): insert_with_triggers(), for the test of random tables.
USHER_FUNCTION(boundary_insert) {
    const std::span<const char *> names = texts(fcinfo->args[1].value), values = texts(fcinfo->args[2].value);
    const std::vector<pg::Param> row = parameters(names, values);
    return BoolGetDatum(pg::insert_with_triggers(pg::Args(fcinfo).oid(0), names, row));
}

/// boundary_insert_form(relation, names, values, checks): insert_directly(), by a writer whose rows are such as this
/// one and who knows the checks.
USHER_FUNCTION(boundary_insert_form) {
    const std::span<const char *> names = texts(fcinfo->args[1].value), values = texts(fcinfo->args[2].value),
                                  checks = texts(fcinfo->args[3].value);
    const std::vector<pg::Param> row = parameters(names, values);
    auto *const columns = new std::vector<pg::ColumnForm>; // as long as the backend, as constants are
    for (std::size_t i = 0; i < names.size(); ++i) columns->push_back({names[i], row[i].type, values[i] != nullptr});
    const auto *const form = new pg::TableForm{.columns = *columns, .checks = checks};
    return BoolGetDatum(pg::insert_directly(pg::Args(fcinfo).oid(0), *form, row).has_value());
}
