// What every file of usher_payment uses of the kit, without its name in front.
#pragma once
#include "kit/amounts.hpp"
#include "kit/core.hpp"
#include "kit/rights.hpp"
#include "kit/row_trigger.hpp"
#include "kit/schema.hpp"
#include "kit/server.hpp"
#include "kit/texts.hpp"
#include "usher_payment/payment_errors.hpp"

namespace usher::payment {
using kit::acting_person;
using kit::column_number;
using kit::ColumnForm;
using kit::Columns;
using kit::may;
using kit::require;
using kit::require_currency;
using kit::require_payable;
using kit::require_table;
using kit::RowTrigger;
using kit::Schema;
using kit::Statement;
using kit::TableRow;
} // namespace usher::payment
