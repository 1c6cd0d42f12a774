// Failed logins per network that tables cannot show: those of transactions that are open or were rolled back. As
// usher/identity/shared_guesses.hpp for accounts, with one difference: a failure counts only if its name differs from
// that of the failure before it.
#pragma once
#include "usher/identity/shared_guesses.hpp"
#include <string>
#include <string_view>
#include <vector>

namespace usher::identity::shared_networks {

/// Failures beyond those that this transaction can see in the table. None without preload.
shared_guesses::Unseen look(const std::string &network);
/// One more failure, with the name as failed_names has it. False when the failure before it had the same name: then it
/// does not count. True without preload.
bool fail(const std::string &network, std::string_view name);
/// A success forgets what was rolled back, if it was one failure, with one of these names.
void forget(const std::string &network, const std::vector<std::string> &names);

} // namespace usher::identity::shared_networks
