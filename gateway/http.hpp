// The one place that includes cpp-httplib. It gives us sockets, the accept loop and the thread interface; how a message
// is framed and what a request may say is decided in request.cpp and connection.cpp.
#pragma once

#define CPPHTTPLIB_LISTEN_BACKLOG 1024
#define CPPHTTPLIB_USE_POLL
#define CPPHTTPLIB_TCP_NODELAY true // off costs a factor of 170 in throughput
#include <httplib.h>

namespace usher::gateway::detail {
consteval bool httplib_is_recent_enough(const char *version) { // "0.41.0"
    int part[2] = {0, 0};
    for (int i = 0; i < 2; ++i, ++version) {
        for (; *version >= '0' && *version <= '9'; ++version) part[i] = part[i] * 10 + (*version - '0');
        if (*version != '.') break;
    }
    return part[0] > 0 || part[1] >= 41;
}
static_assert(httplib_is_recent_enough(CPPHTTPLIB_VERSION),
              "cpp-httplib 0.41 or newer is needed (older ones have known holes and ignore limits); "
              "let gateway/fetch-httplib get it, or point USHER_HTTPLIB_INCLUDE at a newer httplib.h");
} // namespace usher::gateway::detail
