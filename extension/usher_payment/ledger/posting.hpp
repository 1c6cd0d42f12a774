// What payments post into the ledger by themselves.
#pragma once
#include "usher_payment/payment_kit.hpp"

namespace usher::payment {

/// One amount from one account to another, as a journal about a transaction. Accounts: extension/usher_payment/ledger.
struct Posting {
    std::string_view kind; // "capture", "refund", "fee", "dispute"
    Uuid transaction;
    std::string debit, credit;
    std::int64_t amount_minor;
    std::string_view currency;
};
/// Nothing is posted for an amount of 0; below 0 the accounts are exchanged.
void post(const Schema &schema, const Posting &posting);

/// Where the money of a processor is: "processor:stripe", and "till:cash" for what people take themselves.
std::string money_account(std::string_view processor, std::string_view payment_method);

} // namespace usher::payment
