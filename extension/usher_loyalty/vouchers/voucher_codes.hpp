// Codes that people type: of vouchers, and of rewards.
#pragma once
#include <string>
#include <string_view>

namespace usher::loyalty {

/// 80 random bits as "XXXX-XXXX-XXXX-XXXX".
std::string new_code();

/// SHA-256 of the code as it counts: upper case, letters and digits only. Empty for what has no letter or digit.
std::string code_hash(std::string_view code);

} // namespace usher::loyalty
