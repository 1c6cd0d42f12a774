// Where messages go: to an SMTP server, or into a folder.
#pragma once
#include "courier/courier_config.hpp"
#include "courier/mime.hpp"
#include <atomic>
#include <memory>

namespace usher::courier {

/// What came of a message, in the words of report_message().
struct Delivery {
    const char *outcome; // sent, deferred, rejected
    std::string code;    // "550 5.1.1", or what stood in the way: "timeout", "tls", "login", "connection" …
    std::string detail;  // the server's own words
};

/// Of one thread.
class MailSink {
public:
    virtual ~MailSink() = default;
    /// id: of the message, the same for each attempt. stop: set to give up.
    virtual Delivery send(const std::string &id, const Mail &mail, const std::atomic<bool> &stop) = 0;
};

std::unique_ptr<MailSink> make_mail_sink(const CourierConfig &config);

} // namespace usher::courier
