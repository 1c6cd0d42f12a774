#include "usher_loyalty/points/following.hpp"

namespace usher::loyalty {

namespace {
constinit int depth = 0;
} // namespace

Following::Following() { ++depth; }
Following::~Following() { --depth; }
bool Following::is_running() { return depth > 0; }

} // namespace usher::loyalty
