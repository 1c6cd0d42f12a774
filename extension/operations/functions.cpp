// What the SQL half of operations asks the library.
#include "operations/survivors.hpp"
#include "pg/result.hpp"
#include "pg/shared.hpp"

using namespace usher;

USHER_FUNCTION(usher_operations_is_preloaded) { return BoolGetDatum(pg::is_preloaded()); }
USHER_FUNCTION(usher_operations_lost_survivors) { return pg::result(pg::int8(operations::lost_survivors())); }
