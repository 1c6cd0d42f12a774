// Memory that all backends share, for extensions in a library that is preloaded, and what has to be settled when the
// transaction ends.
#pragma once
#include "pg/shared.hpp"
#include "pg/xact.hpp"
