// All that a function of a feature extension needs from the bridge to the server: arguments, results, statements,
// and errors in both directions.
#pragma once
#include "common/error.hpp"
#include "pg/args.hpp"
#include "pg/cache.hpp"
#include "pg/direct_insert.hpp"
#include "pg/guard.hpp"
#include "pg/result.hpp"
#include "pg/spi.hpp"
#include "pg/subxact.hpp"
#include "pg/trigger_call.hpp"
