#include "usher/operations/job_log.hpp"
#include "pg/shared.hpp"

namespace usher::operations::job_log {

namespace {
constexpr long capacity = 1024; // jobs of all databases

struct Key {
    std::uint32_t database;
    std::array<char, sizeof(Job::name)> name;
};

struct Entry {
    Key key;
    Job job;
};

pg::SharedMap<Key, Entry> map{"usher worker jobs", capacity};

// Runs under the lock of its entry, which is made if it does not exist.
template <class F> void change(const char *name, F &&f) {
    if (!pg::is_preloaded()) return;
    Key key{MyDatabaseId, {}};
    pg::copy_text(key.name.data(), key.name.size(), name); // the rest is zero
    const Instant now = pg::clock_time();
    map.locked([&](auto &locked) {
        Entry *const entry = locked.find_or_add(key);
        if (entry == nullptr) return;
        std::memcpy(entry->job.name, key.name.data(), key.name.size());
        if (entry->job.known_since == 0) entry->job.known_since = now;
        f(entry->job, now);
    });
}

void set_message(Job &job, std::string_view message) {
    std::memset(job.message, 0, sizeof job.message);
    std::memcpy(job.message, message.data(), message.size());
}
} // namespace

void worker_started() {
    if (!pg::is_preloaded()) return;
    const Instant now = pg::clock_time();
    map.locked([&](auto &locked) {
        locked.for_each([&](Entry &entry) {
            if (entry.key.database != MyDatabaseId) return true;
            entry.job.known_since = now;
            if (entry.job.running_since == 0) return true;
            entry.job.running_since = 0;
            entry.job.failed_at = now;
            set_message(entry.job, "the worker ended while it ran");
            return true;
        });
    });
}

void begun(const char *name) {
    change(name, [](Job &job, Instant now) { job.running_since = now; });
}

void succeeded(const char *name) {
    change(name, [](Job &job, Instant now) {
        job.running_since = 0;
        job.succeeded_at = now;
    });
}

void failed(const char *name, const char *message) {
    char kept[sizeof(Job::message)];
    const std::size_t length = pg::copy_text(kept, message);
    change(name, [&](Job &job, Instant now) {
        job.running_since = 0;
        job.failed_at = now;
        set_message(job, {kept, length});
    });
}

void skipped(const char *name) {
    change(name, [](Job &job, Instant) { job.running_since = 0; });
}

void not_installed(const char *name) {
    change(name, [](Job &job, Instant now) {
        job.running_since = 0;
        job.known_since = now;
    });
}

std::vector<Job> jobs() {
    std::vector<Job> found;
    if (!pg::is_preloaded()) return found;
    constexpr std::size_t most = 64;
    found.reserve(most);
    map.locked([&](auto &locked) {
        locked.for_each([&](const Entry &entry) {
            if (entry.key.database == MyDatabaseId) found.push_back(entry.job); // reserved: cannot throw
            return found.size() < most;
        });
    });
    return found;
}

} // namespace usher::operations::job_log
