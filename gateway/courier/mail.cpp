#include "courier/mail.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

namespace usher::courier {

namespace {

constexpr std::size_t longest_detail = 500;

// Files appear whole: written under another name first. One that is there already is the same message.
class FolderSink final : public MailSink {
public:
    explicit FolderSink(const CourierConfig &config) : folder_(config.mail_sink) {}

    Delivery send(const std::string &id, const Mail &mail, const std::atomic<bool> &) override {
        const std::string text = compose(mail, std::time(nullptr));
        const std::string path = folder_ + '/' + id + ".eml";
        const std::string temporary = folder_ + "/." + id + ".new";
        const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (file < 0) return failed();
        std::size_t done = 0;
        while (done < text.size()) {
            const ssize_t count = write(file, text.data() + done, text.size() - done);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) break;
            done += static_cast<std::size_t>(count);
        }
        const bool is_written = done == text.size() && fsync(file) == 0;
        const bool is_closed = close(file) == 0;
        if (!is_written || !is_closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
            const Delivery result = failed();
            unlink(temporary.c_str());
            return result;
        }
        return {"sent", "", ""};
    }

private:
    static Delivery failed() { return {"deferred", "folder", std::strerror(errno)}; }
    std::string folder_;
};

// How far a conversation with a server has come: a refusal means another thing at each step.
enum class Step { session, mail, recipient, data };

struct Conversation {
    std::string_view unsent;
    Step step = Step::session;
    std::string reply;    // the last line that the server said
    bool is_over = false; // what is said while parting is not about the message
    bool *knows_smtputf8; // the server of this connection, as its answer to EHLO said
    bool needs_smtputf8 = false;
    bool lacks_smtputf8 = false;
    const std::atomic<bool> *stop = nullptr;
};

std::size_t give_bytes(char *to, std::size_t size, std::size_t count, void *user) {
    auto &conversation = *static_cast<Conversation *>(user);
    const std::size_t bytes = std::min(size * count, conversation.unsent.size());
    std::memcpy(to, conversation.unsent.data(), bytes);
    conversation.unsent.remove_prefix(bytes);
    return bytes;
}

std::size_t ignore_bytes(char *, std::size_t size, std::size_t count, void *) { return size * count; }

// Follows the conversation. What is said while logging in is not looked at.
int follow(CURL *, curl_infotype type, char *data, std::size_t size, void *user) {
    auto &conversation = *static_cast<Conversation *>(user);
    const std::string_view text(data, size);
    if (type == CURLINFO_HEADER_OUT && text.starts_with("QUIT")) conversation.is_over = true;
    if (conversation.is_over) return 0;
    if (type == CURLINFO_HEADER_OUT) {
        if (text.starts_with("EHLO")) *conversation.knows_smtputf8 = false;
        if (text.starts_with("MAIL FROM:")) conversation.step = Step::mail;
        if (text.starts_with("RCPT TO:")) conversation.step = Step::recipient;
        if (text.starts_with("DATA")) conversation.step = Step::data;
        conversation.reply.clear();
    } else if (type == CURLINFO_DATA_OUT && conversation.step == Step::data) {
        conversation.reply.clear();
    } else if (type == CURLINFO_HEADER_IN) {
        const std::string_view line = trim(text);
        if (line.size() >= 3 && is_digit(line[0]) && is_digit(line[1]) && is_digit(line[2]))
            conversation.reply = std::string(clip(line, longest_detail));
        if (conversation.step == Step::session && line.size() > 4 && line.starts_with("250") &&
            equal_ignoring_case(line.substr(4), "SMTPUTF8"))
            *conversation.knows_smtputf8 = true;
    }
    return 0;
}

// Before MAIL. To a server without SMTPUTF8 libcurl would send an address as the bytes that it is, and nobody knows
// what they are taken for (RFC 6531 section 3.2 forbids it).
int may_send(void *user, char *, char *, int, int) {
    auto &conversation = *static_cast<Conversation *>(user);
    conversation.lacks_smtputf8 = conversation.needs_smtputf8 && !*conversation.knows_smtputf8;
    return conversation.lacks_smtputf8 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

int keep_sending(void *user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Conversation *>(user)->stop->load() ? 1 : 0;
}

// "550 5.1.1" of "550 5.1.1 No such user here" (RFC 3463)
std::string code_of(std::string_view reply) {
    std::string code(reply.substr(0, 3));
    if (reply.size() < 9) return code;
    const std::string_view rest = reply.substr(4);
    const std::string_view enhanced = rest.substr(0, rest.find_first_of(" \r\n"));
    const bool is_one = enhanced.size() >= 5 && enhanced.size() <= 9 && enhanced[1] == '.' && enhanced[0] == code[0] &&
                        std::all_of(enhanced.begin(), enhanced.end(), [](char c) { return is_digit(c) || c == '.'; });
    return is_one ? code + ' ' + std::string(enhanced) : code;
}

const char *obstacle(CURLcode result) {
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_LOGIN_DENIED: return "login";
    case CURLE_COULDNT_RESOLVE_HOST: return "name";
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE: return "tls";
    case CURLE_ABORTED_BY_CALLBACK: return "stopped";
    default: return "connection";
    }
}

class SmtpSink final : public MailSink {
public:
    explicit SmtpSink(const CourierConfig &config) : config_(config), handle_(curl_easy_init(), &curl_easy_cleanup) {
        if (handle_ == nullptr) throw std::bad_alloc{};
    }

    Delivery send(const std::string &id, const Mail &mail, const std::atomic<bool> &stop) override {
        (void)id;
        const std::string text = compose(mail, std::time(nullptr));
        const std::string from = parse_mailbox(mail.sender, "sender").address;
        const std::string to = parse_mailbox(mail.recipient, "recipient").address;
        Conversation conversation;
        conversation.unsent = text;
        conversation.stop = &stop;
        conversation.knows_smtputf8 = &knows_smtputf8_;
        conversation.needs_smtputf8 = !is_ascii(to) || !is_ascii(from);
        char error[CURL_ERROR_SIZE] = "";
        CURL *handle = handle_.get();
        curl_easy_reset(handle); // its connection stays
        set_server(handle);
        const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> recipients(
            curl_slist_append(nullptr, to.c_str()), &curl_slist_free_all);
        curl_easy_setopt(handle, CURLOPT_MAIL_FROM, from.c_str());
        curl_easy_setopt(handle, CURLOPT_MAIL_RCPT, recipients.get());
        curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(text.size()));
        curl_easy_setopt(handle, CURLOPT_READFUNCTION, give_bytes);
        curl_easy_setopt(handle, CURLOPT_READDATA, &conversation);
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, ignore_bytes);
        curl_easy_setopt(handle, CURLOPT_DEBUGFUNCTION, follow);
        curl_easy_setopt(handle, CURLOPT_DEBUGDATA, &conversation);
        curl_easy_setopt(handle, CURLOPT_VERBOSE, 1L); // to the function above, which prints nothing
        curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, may_send);
        curl_easy_setopt(handle, CURLOPT_PREREQDATA, &conversation);
        curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, keep_sending);
        curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &conversation);
        curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
        const CURLcode result = curl_easy_perform(handle);
        // Nothing of this message may be reached when the connection is closed later.
        curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, nullptr);
        curl_easy_setopt(handle, CURLOPT_VERBOSE, 0L);
        if (result == CURLE_OK) return {"sent", code_of(conversation.reply), conversation.reply};
        if (conversation.lacks_smtputf8) // not the recipient's fault where it is the sender's
            return {is_ascii(from) ? "rejected" : "deferred", "no_smtputf8",
                    "the server does not take addresses outside ASCII"};
        return judge(result, conversation, error);
    }

private:
    void set_server(CURL *handle) const {
        curl_easy_setopt(handle, CURLOPT_URL, config_.smtp.c_str());
        curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(handle, CURLOPT_PROXY, ""); // not even one of the environment
        curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handle, CURLOPT_USE_SSL,
                         static_cast<long>(config_.smtp_tls == "none" ? CURLUSESSL_NONE : CURLUSESSL_ALL));
        curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
        curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
        curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
        if (!config_.tls_ca.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, config_.tls_ca.c_str());
        if (!config_.smtp_user.empty()) {
            curl_easy_setopt(handle, CURLOPT_USERNAME, config_.smtp_user.c_str());
            curl_easy_setopt(handle, CURLOPT_PASSWORD, config_.smtp_password.c_str());
        }
        curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(config_.smtp_timeout_ms));
        curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                         static_cast<long>(std::min(config_.smtp_timeout_ms, 15000)));
    }

    // Only what the server says about this recipient or this message is final. A server that does not want us, wants
    // another login or is not there says nothing about them.
    static Delivery judge(CURLcode result, const Conversation &conversation, const char *error) {
        const bool has_reply =
            !conversation.reply.empty() && conversation.reply[0] >= '4' && conversation.reply[0] <= '5';
        if (!has_reply || result == CURLE_ABORTED_BY_CALLBACK || result == CURLE_LOGIN_DENIED)
            return {"deferred", obstacle(result), conversation.step == Step::session ? "" : error};
        const std::string code = code_of(conversation.reply);
        // 521: the host takes no mail at all (RFC 7504). X.7 at a recipient: we may not, for want of a login mostly
        // (RFC 3463); the recipient is there all the same.
        const bool is_about_us = code.starts_with("521") ||
                                 (conversation.step == Step::recipient && code.find(" 5.7.") != std::string::npos);
        const bool is_final = conversation.reply[0] == '5' && conversation.step >= Step::recipient && !is_about_us;
        return {is_final ? "rejected" : "deferred", code, conversation.reply};
    }

    const CourierConfig &config_;
    bool knows_smtputf8_ = false;
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle_;
};

} // namespace

std::unique_ptr<MailSink> make_mail_sink(const CourierConfig &config) {
    if (!config.mail_sink.empty()) return std::make_unique<FolderSink>(config);
    return std::make_unique<SmtpSink>(config);
}

} // namespace usher::courier
