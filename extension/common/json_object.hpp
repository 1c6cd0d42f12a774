// A JSON object written member by member: payloads of events and audit rows.
#pragma once
#include "common/json.hpp"
#include "common/types.hpp"
#include <cstdint>
#include <string>
#include <string_view>

namespace usher::json {

///     json::Object().add("user_id", id).add("attempts", 3).text()
class Object {
public:
    Object &add(std::string_view key, std::string_view value) {
        begin(key);
        append_string(text_, value);
        return *this;
    }
    Object &add(std::string_view key, const char *value) { return add(key, std::string_view(value)); }
    Object &add(std::string_view key, const Uuid &value) { return add(key, std::string_view(to_string(value))); }
    Object &add(std::string_view key, std::int64_t value) {
        begin(key);
        text_ += std::to_string(value);
        return *this;
    }
    /// A value that is JSON already.
    Object &add_json(std::string_view key, std::string_view value) {
        begin(key);
        text_ += value;
        return *this;
    }
    Object &add(std::string_view key, bool value) {
        begin(key);
        text_ += value ? "true" : "false";
        return *this;
    }
    [[nodiscard]] std::string text() const { return text_ + '}'; }

private:
    void begin(std::string_view key) {
        if (text_.size() > 1) text_ += ',';
        append_string(text_, key);
        text_ += ':';
    }
    std::string text_ = "{";
};

} // namespace usher::json
