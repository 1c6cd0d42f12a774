// The pages for people: a landing page at /, and the API's documentation at /docs, made from the live /openapi.json by
// a viewer that comes from npm when the gateway is built. Everything is served from memory; nothing comes from
// elsewhere.
#pragma once
#include "request.hpp"
#include "response.hpp"
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace usher::gateway {

class Pages {
public:
    /// Reads the files of a folder; those that it does not have are not served. Empty: no pages.
    void load(const std::string &folder);
    /// The page at the request's path; nothing when there is none, or the method is not GET or HEAD.
    std::optional<Response> answer(const Request &request) const;

    /// What the option `pages` means: a folder, "none", or, when it is empty, the folder pages beside the program or
    /// that of `make install`.
    static std::string folder_for(const std::string &option);

private:
    struct Page {
        const char *type;
        bool is_document; // with a policy of its own; checked again at each visit
        std::string body, tag;
    };
    mutable std::mutex mutex_;
    std::shared_ptr<const std::map<std::string, Page>> pages_;
};

} // namespace usher::gateway
