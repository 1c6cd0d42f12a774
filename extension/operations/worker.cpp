#include "operations/worker.hpp"
#include "pg/guc.hpp"
#include "pg/spi.hpp"
#include "pg/subxact.hpp"

using namespace usher;

namespace {
constexpr int max_flushes = 8;
using Flush = void (*)();
constinit Flush flushes[max_flushes] = {};
constinit int flush_count = 0;

constinit pg::Statement find_extension{"SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'usher'"};
constinit pg::Statement run_maintenance{"SELECT count(*) FROM usher.run_maintenance()"};

// One job in one transaction. An ERROR takes back the job, is logged, and the worker goes on.
void run_job(const char *activity, void (*job)()) {
    pg::call([&] {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        PushActiveSnapshot(GetTransactionSnapshot());
        pgstat_report_activity(STATE_RUNNING, activity);
    });
    const pg::Refusal refusal = pg::attempt([&] {
        if (find_extension.run().empty()) return; // the database may be without it, or not have it yet
        const pg::AsOwner owner;
        job();
    });
    pg::call([&] {
        if (refusal)
            ereport(LOG, errcode(refusal.error->sqlerrcode),
                    errmsg("usher: %s failed: %s", activity, refusal.error->message));
        PopActiveSnapshot();
        CommitTransactionCommand();
        pgstat_report_stat(true);
        pgstat_report_activity(STATE_IDLE, nullptr);
    });
}

// Each in a transaction of its own: one feature's trouble is not the others'.
void run_flushes() {
    for (int i = 0; i < flush_count; ++i) run_job("flushing counters", flushes[i]);
}

void keep_up() {
    TimestampTz next_maintenance = 0;
    while (!ShutdownRequestPending) {
        pg::call([] {
            (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, guc::flush_interval,
                            PG_WAIT_EXTENSION);
            ResetLatch(MyLatch);
            CHECK_FOR_INTERRUPTS();
            if (ConfigReloadPending) {
                ConfigReloadPending = false;
                ProcessConfigFile(PGC_SIGHUP);
            }
        });
        run_flushes();
        const TimestampTz now = GetCurrentTimestamp();
        if (now < next_maintenance) continue;
        next_maintenance =
            TimestampTzPlusMilliseconds(now, static_cast<std::int64_t>(guc::maintenance_interval) * 1000);
        run_job("maintenance", [] { run_maintenance.run(); });
    }
    run_flushes(); // a clean stop forgets nothing
}
} // namespace

extern "C" PGDLLEXPORT void usher_worker_main(Datum index);

/// Entry point of a worker; `index` is the place of its database in usher.worker_databases.
void usher_worker_main(Datum index) {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    BackgroundWorkerUnblockSignals();
    char *names = pstrdup(guc::worker_databases);
    List *databases = NIL;
    if (!SplitIdentifierString(names, ',', &databases) || DatumGetInt32(index) >= list_length(databases)) proc_exit(0);
    BackgroundWorkerInitializeConnection(static_cast<const char *>(list_nth(databases, DatumGetInt32(index))), nullptr,
                                         0);
    pg::entry([] { keep_up(); });
    proc_exit(0);
}

namespace usher::operations {

void flush_regularly(void (*flush)()) {
    if (flush_count < max_flushes) flushes[flush_count++] = flush;
}

void register_workers() {
    char *const names = pstrdup(guc::worker_databases);
    List *databases = NIL;
    if (!SplitIdentifierString(names, ',', &databases)) {
        ereport(WARNING, errmsg("usher.worker_databases is not a list of database names"));
        return;
    }
    for (int i = 0; i < list_length(databases); ++i) {
        BackgroundWorker worker{};
        worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
        worker.bgw_start_time = BgWorkerStart_RecoveryFinished; // a standby has nothing to write
        worker.bgw_restart_time = 10;
        worker.bgw_main_arg = Int32GetDatum(i);
        snprintf(worker.bgw_name, BGW_MAXLEN, "usher worker for %s", static_cast<const char *>(list_nth(databases, i)));
        snprintf(worker.bgw_type, BGW_MAXLEN, "usher worker");
        snprintf(worker.bgw_library_name, BGW_MAXLEN, "usher");
        snprintf(worker.bgw_function_name, BGW_MAXLEN, "usher_worker_main");
        RegisterBackgroundWorker(&worker);
    }
}

} // namespace usher::operations
