// What the SQL half of operations asks the library.
#include "pg/result.hpp"
#include "pg/shared.hpp"
#include "usher/operations/databases.hpp"
#include "usher/operations/job_log.hpp"
#include "usher/operations/survivors.hpp"

using namespace usher;

USHER_FUNCTION(usher_operations_is_preloaded) { return BoolGetDatum(pg::is_preloaded()); }
USHER_FUNCTION(usher_operations_lost_survivors) { return pg::result(pg::int8(operations::lost_survivors())); }

/// usher._worker_expected(): NULL when usher.worker_databases cannot be read.
USHER_FUNCTION(usher_operations_worker_expected) {
    enum class Answer : std::uint8_t { no, yes, unknown };
    const Answer answer = pg::call([] {
        if (!pg::is_preloaded() || RecoveryInProgress()) return Answer::no;
        const operations::WorkerDatabases databases = operations::worker_databases();
        if (!databases.is_list) return Answer::unknown;
        const char *const here = get_database_name(MyDatabaseId);
        for (int i = 0; i < list_length(databases.names); ++i)
            if (std::strcmp(static_cast<const char *>(list_nth(databases.names, i)), here) == 0) return Answer::yes;
        return Answer::no;
    });
    return answer == Answer::unknown ? pg::null_result(fcinfo) : BoolGetDatum(answer == Answer::yes);
}

/// usher._worker_jobs()
USHER_FUNCTION(usher_operations_worker_jobs) {
    const auto time_or_null = [](Instant instant) {
        return instant == 0 ? pg::null(TIMESTAMPTZOID) : pg::timestamptz(instant);
    };
    pg::RowSet rows(fcinfo);
    for (const operations::job_log::Job &job : operations::job_log::jobs())
        rows.add({pg::text(job.name), pg::timestamptz(job.known_since), time_or_null(job.running_since),
                  time_or_null(job.succeeded_at), time_or_null(job.failed_at), pg::text(job.message)});
    return rows.finish();
}
