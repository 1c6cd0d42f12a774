// The courier at work: threads that claim what is ready, send it, and report what came of it; and one that listens for
// the database to say that something has become ready.
#pragma once
#include "courier/counts.hpp"
#include "courier/courier_config.hpp"
#include "database.hpp"
#include <condition_variable>
#include <thread>

namespace usher::courier {

/// Wakes those who wait for work.
class Bell {
public:
    void ring();
    /// Returns when the bell has rung since `heard`, or the time is over. Updates `heard`.
    void wait(std::uint64_t &heard, std::chrono::milliseconds longest);

private:
    std::mutex mutex_;
    std::condition_variable condition_;
    std::uint64_t rings_ = 0;
};

/// Where the extension is: its schema is the choice of the DBA. Asked once, and again when a call of it fails.
class Home {
public:
    /// The quoted name of the schema, or nothing while the extension is not there.
    std::optional<std::string> schema(gateway::Database &database);
    void forget();

private:
    std::mutex mutex_;
    std::string schema_;
};

class Courier {
public:
    Courier(const CourierConfig &config, gateway::BackOff &back_off, gateway::Metrics &metrics, Counts &counts)
        : config_(config), patient_(config), back_off_(back_off), metrics_(metrics), counts_(counts) {
        patient_.statement_timeout_ms = gateway::day_ms;
    }
    void start();
    /// Claims nothing more. What is being sent is finished.
    void finish();
    /// Gives up what is still being sent.
    void abandon() { is_abandoned_ = true; }
    bool is_done() const { return working_ == 0; }
    void join();

private:
    class Worker;
    class MailWorker;
    class RequestWorker;
    class HandlerWorker;
    template <class W> void start_worker(int number);
    void listen();
    bool beat(gateway::Database &database);

    const CourierConfig &config_;
    CourierConfig patient_; // for statements that the database limits itself
    gateway::BackOff &back_off_;
    gateway::Metrics &metrics_;
    Counts &counts_;
    Bell bell_;
    Home home_;
    std::atomic<bool> is_finishing_{false};
    std::atomic<bool> is_abandoned_{false};
    std::atomic<int> working_{0};
    std::vector<std::thread> threads_;
};

} // namespace usher::courier
