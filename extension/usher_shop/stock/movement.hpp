// Why a stock level changes. The trigger of stock_levels writes the log, whoever changes a level; what is changed in
// here says more than that it was adjusted.
#pragma once
#include "usher_shop/shop_kit.hpp"

namespace usher::shop {

/// Of one level, one line or one movement: far from where sums of a few of them would overflow.
inline constexpr std::int64_t largest_quantity = 1'000'000'000'000;

/// Throws 22023 unless the text is a name as in "order" or "out_of_date": a lower-case letter, then at most 62 of them,
/// digits and underscores.
void require_name(std::string_view text, const char *argument);

struct Level {
    std::int64_t on_hand = 0;
    std::int64_t reserved = 0;
};

/// While one lives, changes of levels by this backend are logged as this movement, and `reserved` may change. Errors
/// arrive as exceptions, so it always ends.
class Movement {
public:
    explicit Movement(std::string_view kind);
    ~Movement();
    Movement(const Movement &) = delete;
    Movement &operator=(const Movement &) = delete;

    /// The one that the backend is in; nothing for raw SQL.
    static Movement *current();

    std::string_view kind;
    std::string_view source_type;
    std::optional<Uuid> source;
    std::string_view reason_code;
    std::optional<std::int64_t> unit_cost_minor;
    Uuid log_id{};         // of the row that was written last
    Level level{};         // after it
    bool is_claim = false; // `reserved` may change

private:
    Movement *outer_;
};

/// While one lives, this backend may add rows to the log, or remove them in order to roll them up.
class LogWriting {
public:
    enum class Kind : std::uint8_t { none, add, roll_up };
    explicit LogWriting(Kind kind);
    ~LogWriting();
    LogWriting(const LogWriting &) = delete;
    LogWriting &operator=(const LogWriting &) = delete;
    static Kind current();

private:
    Kind outer_;
};

struct Stock {
    Uuid product;
    Uuid location;
};

/// Adds to a level, which is made when there is none yet, in one UPDATE. Throws UC001 when more would be reserved than
/// is available, and UC002 when more would be taken away than is free. Holds that are over give way first.
Level change_level(const Schema &schema, const Stock &stock, std::int64_t on_hand_delta, std::int64_t reserved_delta);

} // namespace usher::shop
