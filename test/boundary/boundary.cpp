// Test functions for the C++ boundary (extension/pg): each provokes one trap. Built into a library of its own, with its
// own copy of extension/pg, so that nothing of it is in the product. test/t/010_boundary.pl calls them.
#include "core/error.hpp"
#include "pg/args.hpp"
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
