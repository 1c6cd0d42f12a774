#include "pg/lock_patience.hpp"

namespace usher::pg {

LockPatience::LockPatience(int milliseconds)
    : level_(call([&] {
          const int level = NewGUCNestLevel();
          if (LockTimeout == 0 || LockTimeout > milliseconds)
              set_config_option("lock_timeout", psprintf("%d", milliseconds), PGC_USERSET, PGC_S_SESSION,
                                GUC_ACTION_SAVE, true, 0, false);
          return level;
      })) {}

} // namespace usher::pg
