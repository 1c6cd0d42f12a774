#include "usher/identity/master_key.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/digest.hpp"
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "usher/identity/seal.hpp"
#include "usher/operations/settings.hpp"

namespace usher::identity {

namespace {

constexpr std::size_t max_content = 1024;

[[noreturn]] void unusable(const char *path, const std::string &problem, const char *hint = "") {
    throw Error(errc::master_key_unavailable, "master key file \"" + std::string(path) + "\" " + problem, {}, hint);
}

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor &) = delete;
    Descriptor &operator=(const Descriptor &) = delete;
    int get() const { return fd_; }

private:
    int fd_;
};

void check_file(const char *path, int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) unusable(path, "could not be examined");
    if (!S_ISREG(status.st_mode)) unusable(path, "is not a regular file");
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        unusable(path, "can be read or written by others than its owner", "chmod 0600 the file.");
}

/// A relative path is below the data directory, in which the server's processes run.
MasterKey read_key(const char *path) {
    const Descriptor file(::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)); // not to wait for the writer of a pipe
    if (file.get() < 0) {
        const int reason = errno;
        unusable(path, std::string("could not be opened: ") + (reason == ENOENT   ? "there is no such file"
                                                               : reason == EACCES ? "the server may not read it"
                                                                                  : "error " + std::to_string(reason)));
    }
    check_file(path, file.get());
    std::string content(max_content + 1, '\0');
    const ssize_t size = ::read(file.get(), content.data(), content.size());
    if (size < 0) unusable(path, "could not be read");
    const auto key = MasterKey::parse(std::string_view(content).substr(0, static_cast<std::size_t>(size)));
    wipe(content);
    if (!key)
        unusable(path, "does not hold a key of 256 bits",
                 "It must hold 32 bytes, or the same in hexadecimal or base64: head -c 32 /dev/urandom > FILE.");
    return *key;
}

bool is_set(const char *path) { return path != nullptr && *path != '\0'; }

} // namespace

bool has_master_key() { return is_set(guc::master_key_file); }

std::string store_secret(std::string_view secret, std::string_view context) {
    return has_master_key() ? read_key(guc::master_key_file).seal(secret, context) : std::string(secret);
}

std::string open_secret(std::string_view stored, std::string_view context) {
    if (!is_sealed(stored)) return std::string(stored);
    if (!has_master_key() && !is_set(guc::former_master_key_file))
        throw Error(errc::master_key_unavailable, "a secret is sealed under a master key, but no key file is set", {},
                    "Set usher.master_key_file to the file with the key.");
    for (const char *const path : {guc::master_key_file, guc::former_master_key_file}) {
        if (!is_set(path)) continue;
        const MasterKey key = read_key(path);
        if (key.fingerprint() != sealed_under(stored)) continue;
        if (auto secret = key.open(stored, context)) return std::move(*secret);
        throw Error(errc::master_key_unavailable, "a sealed secret was damaged, or belongs to another row");
    }
    throw Error(errc::master_key_unavailable,
                "a secret is sealed under master key " + std::string(sealed_under(stored)) +
                    ", which is not the one in the key file",
                {}, "Set usher.former_master_key_file to the file with that key, and call usher.wrap_secrets().");
}

bool needs_wrapping(std::string_view stored) {
    if (!has_master_key()) return is_sealed(stored);
    return sealed_under(stored) != read_key(guc::master_key_file).fingerprint();
}

} // namespace usher::identity

using namespace usher;

/// usher._rewrap(stored, context): the secret as it is to be stored now; NULL when it is stored so already.
USHER_FUNCTION(usher_identity_rewrap) {
    const pg::Args args(fcinfo);
    const std::string_view stored = args.text(0);
    if (!identity::needs_wrapping(stored)) return pg::null_result(fcinfo);
    std::string secret = identity::open_secret(stored, args.text(1));
    const std::string again = identity::store_secret(secret, args.text(1));
    wipe(secret);
    return pg::result(pg::text(again));
}

/// usher._needs_wrapping(stored)
USHER_FUNCTION(usher_identity_needs_wrapping) {
    return pg::result(pg::boolean(identity::needs_wrapping(pg::Args(fcinfo).text(0))));
}

/// usher._master_key_problem(): what is wrong with the key files; NULL when nothing is.
USHER_FUNCTION(usher_identity_master_key_problem) {
    try {
        for (const char *const path : {guc::master_key_file, guc::former_master_key_file})
            if (identity::is_set(path)) (void)identity::read_key(path);
    } catch (const Error &problem) {
        return pg::result(pg::text(problem.what()));
    }
    return pg::null_result(fcinfo);
}
