#include "pages.hpp"
#include "config.hpp"
#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace usher::gateway {

namespace {

struct File {
    const char *path; // of the request
    const char *name; // in the folder
    const char *type;
    bool is_document;
};
constexpr File files[] = {
    {"/", "index.html", "text/html; charset=utf-8", true},
    {"/docs", "docs.html", "text/html; charset=utf-8", true},
    {"/docs/docs.js", "docs.js", "text/javascript; charset=utf-8", false},
    {"/docs/pages.css", "pages.css", "text/css; charset=utf-8", false},
    {"/docs/icon.svg", "icon.svg", "image/svg+xml", false},
    {"/docs/swagger-ui.css", "swagger-ui.css", "text/css; charset=utf-8", false},
    {"/docs/swagger-ui-bundle.js", "swagger-ui-bundle.js", "text/javascript; charset=utf-8", false},
};

// Nothing but our own files; the viewer sets styles on its elements, and draws with data: images.
constexpr const char *policy =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// FNV-1a: tells two versions of a file apart, which is all that an entity tag must do.
std::string tag_of(const std::string &body) {
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : body) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    char text[24];
    std::snprintf(text, sizeof text, "\"%016lx\"", static_cast<unsigned long>(hash));
    return text;
}

} // namespace

std::string Pages::folder_for(const std::string &option) {
    if (option == "none") return "";
    if (!option.empty()) {
        if (!std::ifstream(option + "/index.html")) throw ConfigError("pages: there is no index.html in " + option);
        return option;
    }
    char program[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program);
    if (length <= 0) return "";
    const std::string path(program, static_cast<std::size_t>(length));
    const std::string beside = path.substr(0, path.rfind('/'));
    if (std::ifstream(beside + "/pages/index.html")) return beside + "/pages";
    return beside + "/../share/usher-gateway/pages"; // where `make install-gateway` puts them
}

void Pages::load(const std::string &folder) {
    auto fresh = std::make_shared<std::map<std::string, Page>>();
    for (const File &file : files) {
        std::ifstream stream(folder + '/' + file.name, std::ios::binary);
        if (folder.empty() || !stream) continue;
        std::ostringstream text;
        text << stream.rdbuf();
        (*fresh)[file.path] = {file.type, file.is_document, text.str(), tag_of(text.str())};
    }
    const std::lock_guard lock(mutex_);
    pages_ = std::move(fresh);
}

std::optional<Response> Pages::answer(const Request &request) const {
    if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
    std::shared_ptr<const std::map<std::string, Page>> pages;
    {
        const std::lock_guard lock(mutex_);
        pages = pages_;
    }
    std::string path = request.path;
    if (path.size() > 1 && path.back() == '/') path.pop_back();
    const auto found = pages == nullptr ? decltype(pages->end()){} : pages->find(path);
    if (pages == nullptr || found == pages->end()) return std::nullopt;
    const Page &page = found->second;
    Response response;
    response.route = found->first;
    response.headers = {{"ETag", page.tag}, {"Cache-Control", page.is_document ? "no-cache" : "public, max-age=3600"}};
    if (page.is_document) response.headers.push_back({"Content-Security-Policy", policy});
    const bool is_known = std::any_of(request.fields.begin(), request.fields.end(), [&page](const Field &field) {
        return field.name == "if-none-match" && (field.value == "*" || field.value.find(page.tag) != std::string::npos);
    });
    if (is_known) {
        response.status = 304;
        return response;
    }
    response.headers.push_back({"Content-Type", page.type});
    response.body = page.body;
    return response;
}

} // namespace usher::gateway
