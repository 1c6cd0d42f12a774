// PostgreSQL's jsonb in its binary form (utils/jsonb.h), for those who write it without the server's builder.
//
// A container is its header, the entries (of an object: those of all keys, then those of all values) and the bytes that
// the entries tell the lengths of. Every JB_OFFSET_STRIDE-th entry tells where its bytes end instead of how many they
// are. Numbers and containers are aligned, and the padding counts as theirs.
//
// A buffer is a StringInfoData, in plain frames, or a std::string, in C++ frames. Everything is inline: the audit log
// writes a container for each row.
#pragma once
#include "pg/pg.hpp"

namespace usher::pg::jsonb_format {

static_assert(sizeof(JEntry) == sizeof(std::uint32_t));

inline std::size_t size_of(const StringInfoData &buffer) { return static_cast<std::size_t>(buffer.len); }
inline std::size_t size_of(const std::string &buffer) { return buffer.size(); }
inline char *data_of(StringInfoData &buffer) { return buffer.data; }
inline char *data_of(std::string &buffer) { return buffer.data(); }

inline void append(StringInfoData &buffer, const void *bytes, std::size_t size) {
    enlargeStringInfo(&buffer, static_cast<int>(size));
    std::memcpy(buffer.data + buffer.len, bytes, size);
    buffer.len += static_cast<int>(size);
}
inline void append(std::string &buffer, const void *bytes, std::size_t size) {
    buffer.append(static_cast<const char *>(bytes), size);
}

/// Makes room that is written later.
inline void skip(StringInfoData &buffer, std::size_t size) {
    enlargeStringInfo(&buffer, static_cast<int>(size));
    buffer.len += static_cast<int>(size);
}
inline void skip(std::string &buffer, std::size_t size) { buffer.resize(buffer.size() + size); }

/// Pads to where a number or a container may begin; `start` is where the whole value begins.
template <class Buffer> void align(Buffer &buffer, std::size_t start = 0) {
    static constexpr char zeros[sizeof(std::uint32_t)] = {};
    const std::size_t size = size_of(buffer) - start;
    append(buffer, zeros, INTALIGN(size) - size);
}

/// What the entry of an aligned value stands for.
template <class Buffer> JEntry append_numeric(Buffer &buffer, const void *numeric, std::size_t start = 0) {
    align(buffer, start);
    append(buffer, numeric, VARSIZE_ANY(numeric));
    return JENTRY_ISNUMERIC;
}
template <class Buffer> JEntry append_container(Buffer &buffer, const Jsonb *json, std::size_t start = 0) {
    align(buffer, start);
    append(buffer, &json->root, VARSIZE(json) - VARHDRSZ);
    return JENTRY_ISCONTAINER;
}

/// A container under construction. Places count from the beginning of the buffer.
struct Container {
    std::size_t entries; // where the entries begin
    std::size_t data;    // where the bytes begin that they are about
    std::size_t next = 0;
};

/// Appends the header and room for the entries. `count`: elements of an array, pairs of an object.
template <class Buffer> Container begin(Buffer &buffer, std::uint32_t kind, std::size_t count) {
    const std::uint32_t header = static_cast<std::uint32_t>(count) | kind;
    append(buffer, &header, sizeof header);
    const std::size_t entries = size_of(buffer), parts = kind == JB_FOBJECT ? 2 * count : count;
    skip(buffer, parts * sizeof(JEntry));
    return {entries, entries + parts * sizeof(JEntry)};
}

/// The next part of the container is all that was appended since `from`.
template <class Buffer> void end_part(Buffer &buffer, Container &container, JEntry type, std::size_t from) {
    const bool is_offset = container.next % JB_OFFSET_STRIDE == 0;
    const std::size_t length = size_of(buffer) - (is_offset ? container.data : from);
    const JEntry entry = type | (is_offset ? JENTRY_HAS_OFF : 0) | static_cast<JEntry>(length);
    std::memcpy(data_of(buffer) + container.entries + container.next++ * sizeof entry, &entry, sizeof entry);
}

} // namespace usher::pg::jsonb_format
