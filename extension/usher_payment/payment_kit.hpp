// What every file of usher_payment uses of the kit, without its name in front.
#pragma once
#include "kit/core.hpp"
#include "kit/schema.hpp"
#include "kit/server.hpp"
#include "kit/table_row.hpp"
#include "usher_payment/payment_errors.hpp"

namespace usher::payment {
using kit::ColumnForm;
using kit::Columns;
using kit::column_number;
using kit::require_table;
using kit::RowTrigger;
using kit::Schema;
using kit::Statement;
using kit::TableRow;
} // namespace usher::payment
