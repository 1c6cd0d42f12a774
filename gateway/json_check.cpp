#include "json_check.hpp"
#include "errors.hpp"
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace usher::gateway {

namespace {

// Sees each token once; keeps nothing but the keys of the objects that are open.
class Checker final : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit Checker(int max_depth) : max_depth_(max_depth) {}
    const std::string &reason() const { return reason_; }

    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t &) override { return true; }
    bool binary(binary_t &) override { return fail("The body is not JSON."); }
    bool string(string_t &text) override {
        return text.find('\0') == string_t::npos || fail("A string contains the character U+0000.");
    }
    bool start_object(std::size_t) override { return open(true); }
    bool start_array(std::size_t) override { return open(false); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t &name) override {
        if (name.find('\0') != string_t::npos) return fail("A key contains the character U+0000.");
        return keys_.back().insert(name).second || fail("An object contains the same key twice.");
    }
    bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &error) override {
        const std::string at = " (byte " + std::to_string(position) + ").";
        if (error.id == 406) return fail("A number is out of range" + at); // id: "out_of_range.406" of the library
        return fail("The body is not valid JSON in UTF-8" + at);
    }

private:
    bool open(bool) {
        if (static_cast<int>(keys_.size()) >= max_depth_) return fail("The JSON document is nested too deeply.");
        keys_.emplace_back();
        return true;
    }
    bool close() {
        keys_.pop_back();
        return true;
    }
    bool fail(std::string reason) {
        reason_ = std::move(reason);
        return false;
    }

    int max_depth_;
    std::vector<std::unordered_set<std::string>> keys_;
    std::string reason_;
};

} // namespace

void check_json(std::string_view text, int max_depth) {
    // The library skips a byte order mark; PostgreSQL does not.
    if (text.starts_with("\xEF\xBB\xBF"))
        throw Refused{400, "malformed_request", "The body starts with a byte order mark."};
    Checker checker(max_depth);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &checker))
        throw Refused{400, "malformed_request", checker.reason()};
}

} // namespace usher::gateway
