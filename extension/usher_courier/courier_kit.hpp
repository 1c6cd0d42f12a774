// What every file of usher_courier uses of the kit, without its name in front.
#pragma once
#include "common/json_object.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "kit/core.hpp"
#include "kit/row_trigger.hpp"
#include "kit/schema.hpp"
#include "kit/server.hpp"
#include "usher_courier/courier_errors.hpp"

namespace usher::courier {
using kit::ColumnForm;
using kit::Columns;
using kit::require_table;
using kit::RowTrigger;
using kit::Schema;
using kit::Statement;
using kit::TableRow;
} // namespace usher::courier
