// What every file of usher_shop uses of the kit, without its name in front.
#pragma once
#include "kit/amounts.hpp"
#include "kit/core.hpp"
#include "kit/rights.hpp"
#include "kit/row_trigger.hpp"
#include "kit/schema.hpp"
#include "kit/server.hpp"
#include "usher_shop/shop_errors.hpp"

namespace usher::shop {
using kit::ColumnForm;
using kit::Columns;
using kit::require_currency;
using kit::require_table;
using kit::RowTrigger;
using kit::Schema;
using kit::Statement;
using kit::TableRow;
} // namespace usher::shop
