// What every file of usher_booking uses of the kit, without its name in front.
#pragma once
#include "kit/amounts.hpp"
#include "kit/core.hpp"
#include "kit/row_trigger.hpp"
#include "kit/schema.hpp"
#include "kit/server.hpp"
#include "usher_booking/booking_errors.hpp"

namespace usher::booking {
using kit::column_number;
using kit::date;
using kit::date_array;
using kit::require_table;
using kit::RowTrigger;
using kit::Schema;
using kit::Statement;
using kit::time_array;
using kit::time_range;
using kit::uuid_array_or_null;
using kit::was_ever_used;
} // namespace usher::booking
