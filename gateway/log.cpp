#include "log.hpp"
#include <chrono>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace usher::gateway {

static std::string timestamp() {
    using namespace std::chrono;
    const auto now = system_clock::now();
    const std::time_t seconds = system_clock::to_time_t(now);
    const auto millis = duration_cast<milliseconds>(now.time_since_epoch()).count() % 1000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[40];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(millis));
    return text;
}

void log(Level level, std::string_view event, const nlohmann::ordered_json &fields) {
    static constexpr const char *names[] = {"info", "warning", "error"};
    nlohmann::ordered_json line = {{"time", timestamp()}, {"level", names[static_cast<int>(level)]}, {"event", event}};
    line.update(fields);
    const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
    static std::mutex mutex; // a line stays whole even where the pipe takes it in pieces
    const std::lock_guard lock(mutex);
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; // nobody reads: requests go on
        done += static_cast<std::size_t>(n);
    }
}

} // namespace usher::gateway
