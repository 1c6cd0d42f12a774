// Failed logins per network that tables cannot show: those of transactions that are open or were rolled back. As
// identity/shared_guesses.hpp for accounts, with one difference: a failure counts only if its name differs from that of
// the failure before it.
#pragma once
#include "identity/shared_guesses.hpp"
#include <string>

namespace usher::identity::shared_networks {

/// Failures beyond those that this transaction can see in the table. None without preload.
shared_guesses::Unseen look(const std::string &network);
/// One more failure, with the SHA-256 of the name. False when the failure before it had the same name: then it does not
/// count. True without preload.
bool fail(const std::string &network, const std::string &name_hash);
/// A success forgets what was rolled back.
void forget(const std::string &network);

} // namespace usher::identity::shared_networks
