// Who may write accounts and lots: nobody but the trigger of entries, which are the facts that both follow from.
#pragma once

namespace usher::loyalty {

/// While one lives, this backend may write what follows from entries. Errors arrive as exceptions, so it always ends.
class Following {
public:
    Following();
    ~Following();
    Following(const Following &) = delete;
    Following &operator=(const Following &) = delete;
    static bool is_running();
};

} // namespace usher::loyalty
