#include "usher/operations/worker.hpp"
#include "pg/spi.hpp"
#include "usher/operations/databases.hpp"
#include "usher/operations/job_log.hpp"
#include "usher/operations/settings.hpp"

using namespace usher;

namespace {
// --- what it does ----------------------------------------------------------------------------------------------------

struct Job {
    const char *name;
    void (*run)();
    bool is_flush;             // of what only shared memory knows: done once more when the server stops
    bool (*piece)() = nullptr; // in the place of run: again in the next transaction as long as it says so
    TimestampTz logged_at = 0;
    char logged[256] = "";    // what the server log was told last
    char why_later[200] = ""; // why rows had to be written later, the last time that this was found out
};

constexpr int max_jobs = 12;
constinit Job jobs[max_jobs] = {};
constinit int job_count = 0;

void enlist(const Job &job) {
    if (job_count < max_jobs) jobs[job_count++] = job;
}

constinit pg::Statement find_extension{
    "SELECT 1 FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'usher'"};
constinit pg::Statement run_maintenance{
    "SELECT pg_catalog.string_agg(m.task, ', ') FILTER (WHERE m.affected IS NULL) FROM usher.run_maintenance() m"};

// Each step of upkeep stands on its own; those that failed have said why in the server log.
void maintain() {
    const pg::Rows rows = run_maintenance.run();
    if (const std::optional<std::string> failed = rows.front().optional_text(0))
        operations::tell_failed(failed->c_str());
}
constinit Job maintenance{"maintenance", maintain, false};

// The self-check of an extension takes as long as there are rows. Which one is due is committed before it runs: what
// takes too long, and is ended, is not tried again at once.
constinit pg::Statement begin_check{"SELECT usher._begin_self_check($1)::pg_catalog.text"};
constinit pg::Statement keep_check{"SELECT usher._keep_self_check($1::pg_catalog.name)"};
constinit char due_check[NAMEDATALEN] = "";

void choose_check() {
    due_check[0] = '\0';
    if (guc::self_check_interval == 0) return;
    const pg::Rows rows = begin_check.run({pg::int4(guc::self_check_interval)});
    if (const std::optional<std::string> due = rows.front().optional_text(0)) pg::copy_text(due_check, due->c_str());
}
/// In a process of its own, if the server has one to spare: the other jobs go on meanwhile.
void run_check() {
    const pg::Rows rows = keep_check.run({pg::text(due_check)});
    if (const std::optional<std::string> failure = rows.front().optional_text(0))
        operations::tell_failed(failure->c_str());
}
constinit Job choosing_check{"self-check", choose_check, false};
constinit Job checking{"self-check", run_check, false};

// Audit rows are sealed in blocks, each in a transaction of its own, until none are left: however many are written, the
// next upkeep finds few, and no transaction is long.
constexpr int block_rows = 50000;
constexpr int sealing_ms = 1000; // then the other jobs have their turn
constexpr int pieces_ms = 1000;  // the same for what is done piece by piece
constinit bool is_sealing_behind = false;
constinit pg::Statement seal_block{R"(
    SELECT CASE WHEN pg_catalog.current_setting('usher.audit_chain')::pg_catalog.bool
                THEN usher._seal_audit_log($1) ELSE 0 END)"};

void seal() { is_sealing_behind = seal_block.run({pg::int4(block_rows)}).front().int8(0) >= block_rows; }
constinit Job sealing{"sealing the audit log", seal, false};

// --- how a job ends before its time ----------------------------------------------------------------------------------
//
// The server arms statement_timeout for commands of clients only, and SIGTERM of a worker ends nothing by itself. So a
// clock ticks while a job runs. When its time is up, or the server stops, each tick cancels what it is doing: again and
// again, for code of others may catch a cancel and go on. Who does so for long ends the whole worker. A wait for a lock
// or on a latch ends at once, the code of a loop when it looks for interrupts.

constexpr int tick_ms = 250;
constexpr int ticks_until_death = 5000 / tick_ms; // of cancels in vain
constexpr int closing_ms = 5000;                  // for all that is written when the server stops
constexpr int closing_lock_ms = 500;

constinit TimeoutId tick_timeout{};
constinit bool is_connected = false;
volatile sig_atomic_t is_closing = 0, is_running = 0;
volatile int ticks_in_vain = 0;
volatile TimestampTz job_ends_at = 0; // changes only while no clock ticks

void cancel() {
    QueryCancelPending = 1;
    InterruptPending = 1;
}

void die() {
    ProcDiePending = 1;
    InterruptPending = 1;
}

// Runs in a signal handler: it sets flags, and the server wakes whoever waits.
void tick() {
    const bool is_over = (ShutdownRequestPending && is_closing == 0) || GetCurrentTimestamp() >= job_ends_at;
    if (!is_over) return;
    cancel();
    ticks_in_vain = ticks_in_vain + 1;
    if (ticks_in_vain > ticks_until_death) die();
}

void start_clock(TimestampTz ends_at) {
    QueryCancelPending = 0; // of the past
    ticks_in_vain = 0;
    job_ends_at = ends_at;
    is_running = 1;
    enable_timeout_every(tick_timeout, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), tick_ms), tick_ms);
    if (ShutdownRequestPending && is_closing == 0) cancel(); // SIGTERM came before is_running was seen
}

void stop_clock() {
    disable_timeout(tick_timeout, false);
    is_running = 0;
    QueryCancelPending = 0;
}

// SIGTERM: the server stops, or somebody has called pg_terminate_backend().
void stop_soon(SIGNAL_ARGS) {
    (void)postgres_signal_arg;
    const int saved = errno;
    ShutdownRequestPending = 1;
    if (!is_connected)
        die();
    else if (is_running != 0 && is_closing == 0)
        cancel();
    SetLatch(MyLatch);
    errno = saved;
}

// --- running jobs ----------------------------------------------------------------------------------------------------

/// What the job that runs now has said.
struct Report {
    Job *job;
    std::size_t postponed;
    bool is_skipped;
    bool has_more;
    char why[256];
};
constinit Report report{};

// The same trouble is told again after a minute only: some jobs run every second.
void log_failure(Job &job, int sqlstate, const char *message) {
    const TimestampTz now = GetCurrentTimestamp();
    if (std::strcmp(job.logged, message) == 0 && !TimestampDifferenceExceeds(job.logged_at, now, 60000)) return;
    pg::copy_text(job.logged, message);
    job.logged_at = now;
    ereport(LOG, errcode(sqlstate), errmsg("usher: %s failed: %s", job.name, message));
}

/// One job in one transaction. An ERROR, a cancel among them, takes back the job and is logged; the worker goes on.
void run_job(Job &job, TimestampTz ends_at, int lock_ms) {
    report = {};
    report.job = &job;
    bool is_installed = false, is_done = false;
    pg::Failure failure;
    operations::job_log::begun(job.name);
    try {
        pg::call([&] {
            start_clock(ends_at);
            SetCurrentStatementStartTimestamp();
            StartTransactionCommand();
            XactReadOnly = false; // whatever ALTER DATABASE says for others
            XactIsoLevel = XACT_READ_COMMITTED;
            PushActiveSnapshot(GetTransactionSnapshot());
            set_config_option("lock_timeout", psprintf("%d", lock_ms), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                              true, 0, false);
            pgstat_report_activity(STATE_RUNNING, job.name);
        });
        is_installed = !find_extension.run().empty(); // the database may be without it, or not have it yet
        if (is_installed) {
            const pg::AsOwner owner;
            if (job.piece != nullptr)
                report.has_more = job.piece();
            else
                job.run();
        }
        pg::call([] {
            PopActiveSnapshot();
            CommitTransactionCommand(); // what is deferred until now, and a wait for standbys, can be cancelled as well
            stop_clock();
        });
        is_done = true;
    } catch (...) {
        pg::capture(failure);
    }
    if (!is_done) {
        report.has_more = false;
        pg::call([&] {
            stop_clock();
            pg::copy_text(report.why, failure.edata != nullptr ? failure.edata->message : failure.message);
            const int sqlstate = failure.edata != nullptr ? failure.edata->sqlerrcode : failure.sqlstate;
            if (sqlstate == ERRCODE_QUERY_CANCELED && ShutdownRequestPending)
                pg::copy_text(report.why, "the worker has been told to end");
            else if (sqlstate == ERRCODE_QUERY_CANCELED && GetCurrentTimestamp() >= ends_at)
                pg::copy_text(report.why, "it took longer than usher.worker_job_timeout");
            log_failure(job, sqlstate, report.why);
            AbortCurrentTransaction();
        });
    } else if (report.why[0] != '\0') {
        pg::call([&] { log_failure(job, ERRCODE_SUCCESSFUL_COMPLETION, report.why); });
    }
    if (!is_installed && is_done)
        operations::job_log::not_installed(job.name);
    else if (report.why[0] != '\0')
        operations::job_log::failed(job.name, report.why);
    else if (report.is_skipped)
        operations::job_log::skipped(job.name);
    else
        operations::job_log::succeeded(job.name);
    pg::call([] {
        pgstat_report_stat(true);
        pgstat_report_activity(STATE_IDLE, nullptr);
    });
}

TimestampTz end_of_job() {
    return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), std::int64_t{1000} * guc::worker_job_timeout);
}

// Until usher.flush_interval has passed, or something is to be looked at. The server wakes whoever waits at each of its
// timers, also one that is no longer of use: that of the job before.
void wait_a_while() {
    const TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc::flush_interval);
    pg::call([&] {
        while (!ShutdownRequestPending && !ConfigReloadPending) {
            const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
            if (left <= 0) break;
            (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, PG_WAIT_EXTENSION);
            ResetLatch(MyLatch);
            HOLD_CANCEL_INTERRUPTS(); // there is nothing to cancel
            CHECK_FOR_INTERRUPTS();
            RESUME_CANCEL_INTERRUPTS();
        }
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
    });
}

// A clean stop forgets nothing, unless it would have to wait for it.
void close() {
    is_closing = 1;
    const TimestampTz ends_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), closing_ms);
    for (int i = 0; i < job_count; ++i)
        if (jobs[i].is_flush) run_job(jobs[i], ends_at, std::min(closing_lock_ms, guc::worker_lock_timeout));
}

void seal_for_a_while() {
    const TimestampTz ends_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), sealing_ms);
    while (is_sealing_behind && !ShutdownRequestPending) {
        is_sealing_behind = false; // also when it fails: then the next upkeep tries again
        run_job(sealing, end_of_job(), guc::worker_lock_timeout);
        if (GetCurrentTimestamp() >= ends_at) return;
    }
}

void work_on(Job &job) {
    const TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pieces_ms);
    do run_job(job, end_of_job(), guc::worker_lock_timeout);
    while (report.has_more && !ShutdownRequestPending && GetCurrentTimestamp() < until);
}

// --- processes of their own ------------------------------------------------------------------------------------------

void describe(BackgroundWorker &worker, const char *type, const char *database, const char *entry) {
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished; // a standby has nothing to write
    snprintf(worker.bgw_name, BGW_MAXLEN, "%s for %s", type, database);
    snprintf(worker.bgw_type, BGW_MAXLEN, "%s", type);
    snprintf(worker.bgw_library_name, BGW_MAXLEN, "usher");
    snprintf(worker.bgw_function_name, BGW_MAXLEN, "%s", entry);
}

// The process is a superuser's, and the owner of a database, who may be anybody, sets what its sessions begin with.
// What would choose the code that runs here, or end it, or make our statements mean something else, is set before there
// is a connection, and stays, as autovacuum has it: a search_path above all. What an application's handlers may have
// been written for (time zone, DateStyle, work_mem …) and usher's own settings are those of the database.
void set_own_settings() {
    constexpr struct {
        const char *name, *value;
    } settings[] = {{"search_path", "pg_catalog, pg_temp"},
                    {"role", "none"},
                    {"row_security", "on"},
                    {"session_replication_role", "origin"},
                    {"statement_timeout", "0"},
                    {"lock_timeout", "0"},
                    {"idle_in_transaction_session_timeout", "0"},
                    {"transaction_timeout", "0"}, // since 17
                    {"default_transaction_isolation", "read committed"},
                    {"default_transaction_read_only", "off"},
                    {"default_transaction_deferrable", "off"},
                    {"standard_conforming_strings", "on"},
                    {"transform_null_equals", "off"},
                    {"quote_all_identifiers", "off"}};
    for (const auto &setting : settings)
        if (GetConfigOption(setting.name, true, false) != nullptr)
            SetConfigOption(setting.name, setting.value, PGC_SUSET, PGC_S_OVERRIDE);
}

void begin_process() {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, stop_soon);
    BackgroundWorkerUnblockSignals();
    set_own_settings();
}

void connected() {
    tick_timeout = RegisterTimeout(USER_TIMEOUT, tick);
    is_connected = true;
}

constinit BackgroundWorkerHandle *checker = nullptr; // the process of the last self-check

bool is_checking() {
    if (checker == nullptr) return false;
    return pg::call([] {
        pid_t pid = 0;
        const BgwHandleStatus status = GetBackgroundWorkerPid(checker, &pid);
        if (status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED) return true;
        pfree(checker);
        checker = nullptr;
        return false;
    });
}

/// False when the server has no place left for a process (max_worker_processes).
bool start_checker() {
    return pg::call([] {
        BackgroundWorker worker{};
        describe(worker, "usher self-check", due_check, "usher_self_check_main");
        worker.bgw_restart_time = BGW_NEVER_RESTART;
        worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
        static_assert(sizeof due_check <= sizeof worker.bgw_extra);
        std::memcpy(worker.bgw_extra, due_check, sizeof due_check);
        const MemoryContext before = MemoryContextSwitchTo(TopMemoryContext); // where the handle stays
        const bool is_registered = RegisterDynamicBackgroundWorker(&worker, &checker);
        MemoryContextSwitchTo(before);
        return is_registered;
    });
}

void check_what_is_due() {
    if (is_checking()) return; // one at a time
    run_job(choosing_check, end_of_job(), guc::worker_lock_timeout);
    if (due_check[0] == '\0' || ShutdownRequestPending) return;
    if (!start_checker()) run_job(checking, end_of_job(), guc::worker_lock_timeout);
}

void keep_up() {
    operations::job_log::worker_started();
    TimestampTz next_maintenance = 0;
    while (!ShutdownRequestPending) {
        wait_a_while();
        // Each in a transaction of its own: one feature's trouble is not the others'.
        for (int i = 0; i < job_count && !ShutdownRequestPending; ++i) work_on(jobs[i]);
        const TimestampTz now = GetCurrentTimestamp();
        if (now >= next_maintenance && !ShutdownRequestPending) {
            next_maintenance =
                TimestampTzPlusMilliseconds(now, static_cast<std::int64_t>(guc::maintenance_interval) * 1000);
            run_job(maintenance, end_of_job(), guc::worker_lock_timeout);
            is_sealing_behind = true; // until a block is not full
            check_what_is_due();
        }
        seal_for_a_while();
    }
    close();
}
} // namespace

extern "C" PGDLLEXPORT void usher_worker_main(Datum index);
extern "C" PGDLLEXPORT void usher_self_check_main(Datum database);

/// Entry point of a worker; `index` is the place of its database in usher.worker_databases. It always ends with 1: the
/// server starts such a worker again unless it stops itself, also after pg_terminate_backend(), and when the database
/// is made later.
void usher_worker_main(Datum index) {
    begin_process();
    const List *const databases = operations::worker_databases().names;
    if (DatumGetInt32(index) >= list_length(databases)) proc_exit(0); // cannot be: the setting is that of the start
    BackgroundWorkerInitializeConnection(static_cast<const char *>(list_nth(databases, DatumGetInt32(index))), nullptr,
                                         0);
    connected();
    pg::entry([] { keep_up(); });
    proc_exit(1);
}

/// Entry point of a self-check; bgw_extra is the extension whose it is. It ends when that is done.
void usher_self_check_main(Datum database) {
    begin_process();
    BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database), InvalidOid, 0);
    pg::copy_text(due_check, MyBgworkerEntry->bgw_extra);
    connected();
    pg::entry([] { run_job(checking, end_of_job(), guc::worker_lock_timeout); });
    proc_exit(0);
}

namespace usher::operations {

void work_regularly(const char *name, void (*job)()) { enlist({name, job, false}); }
void work_in_pieces(const char *name, bool (*piece)()) { enlist({name, nullptr, false, piece}); }
void flush_regularly(const char *name, void (*flush)()) { enlist({name, flush, true}); }

void tell_postponed(std::size_t rows, const char *why) {
    if (report.job == nullptr) return; // not in the worker
    report.postponed += rows;
    if (report.postponed == 0) return;
    if (why != nullptr) pg::copy_text(report.job->why_later, why);
    char text[sizeof report.why];
    snprintf(text, sizeof text, "%zu %s written later: %s", report.postponed,
             report.postponed == 1 ? "row is" : "rows are", report.job->why_later);
    pg::copy_text(report.why, text);
}

void tell_skipped() { report.is_skipped = true; }

void tell_failed(const char *why) { pg::copy_text(report.why, why); }

void register_workers() {
    const WorkerDatabases databases = worker_databases();
    if (!databases.is_list)
        ereport(WARNING, errmsg("usher.worker_databases is not a list of database names"),
                errdetail("No background worker is started."));
    for (int i = 0; i < list_length(databases.names); ++i) {
        BackgroundWorker worker{};
        describe(worker, "usher worker", static_cast<const char *>(list_nth(databases.names, i)), "usher_worker_main");
        worker.bgw_restart_time = 10;
        worker.bgw_main_arg = Int32GetDatum(i);
        RegisterBackgroundWorker(&worker);
    }
}

} // namespace usher::operations
