// The way out of long work: the server passes a function that throws when the statement is to be cancelled, and that
// looks after the stack. Loops and recursions whose length input decides call it now and then.
#pragma once
#include <functional>

namespace usher {

using Poll = std::function<void()>;

} // namespace usher
