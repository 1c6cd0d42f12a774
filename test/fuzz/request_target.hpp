// What the gateway's reading of heads and chunked bodies must hold for every input.
#pragma once
#include "targets.hpp"

// The gateway is a program of its own; its one file without I/O is compiled in here.
#include "../../gateway/request.cpp" // NOLINT(bugprone-suspicious-include)

namespace usher::fuzz {

inline void head_target(std::string_view input) {
    using namespace gateway;
    const Limits limits{512, 16, 4096};
    const std::size_t end = find_end_of_head(input, 0);
    must(end == std::string_view::npos || (end > 0 && end <= input.size() && input[end - 1] == '\n'));
    if (end != std::string_view::npos) // looking again with more bytes finds the same end
        must(find_end_of_head(input, end - 1) == end);
    const Request known = read_what_can_be(input); // never refuses
    must(known.method.empty() || is_token(known.method));
    must(known.path.empty() || (known.path.front() == '/' && known.path.size() <= 256 && is_utf8(known.path)));
    try {
        const Request request = parse_head(input.substr(0, end), limits);
        must(known.method == request.method);
        must(end != std::string_view::npos);
        must(is_token(request.method) && !request.path.empty());
        must(request.path == "*" || request.path.front() == '/');
        must(request.path.size() + request.query.size() <= limits.target_bytes);
        must(request.fields.size() <= limits.header_count);
        must(!(request.is_chunked && request.content_length)); // two lengths are two readings
        must(request.content_length.value_or(0) <= limits.body_bytes);
        int hosts = 0;
        for (const Field &field : request.fields) {
            must(is_token(field.name) && lower_case(field.name) == field.name);
            must(is_field_value(field.value) && is_utf8(field.value) && trim(field.value) == field.value);
            hosts += field.name == "host" ? 1 : 0;
        }
        must(hosts == 1 || (hosts == 0 && request.is_http_1_0));
        must(percent_decode(request.path) && percent_decode(request.query));
    } catch (const Refused &refusal) {
        must(refusal.close && refusal.status >= 400 && refusal.status <= 505 && !refusal.code.empty());
    }
}

struct Chunks {
    int refused = 0;
    std::size_t used = 0;
    std::string body;
};

inline Chunks read_chunks(std::string_view input, std::size_t step) {
    Chunks out;
    gateway::ChunkedBody body(1024);
    try {
        while (out.used < input.size() && !body.is_complete()) out.used += body.feed(input.substr(out.used, step));
        if (body.is_complete()) out.body = body.take();
    } catch (const gateway::Refused &refusal) {
        must(refusal.close && (refusal.status == 400 || refusal.status == 413));
        out.refused = refusal.status;
        out.used = 0;
    }
    must(out.body.size() <= 1024);
    return out;
}

/// However the bytes come in pieces, they are the same body.
inline void chunks_target(std::string_view input) {
    const Chunks whole = read_chunks(input, std::string_view::npos), single = read_chunks(input, 1),
                 seven = read_chunks(input, 7);
    must(whole.refused == single.refused && whole.used == single.used && whole.body == single.body);
    must(whole.refused == seven.refused && whole.used == seven.used && whole.body == seven.body);
}

} // namespace usher::fuzz
