#include "courier/ascii_domain.hpp"
#include <algorithm>
#include <curl/curl.h>
#include <memory>

namespace usher::courier {

std::optional<std::string> ascii_domain(const std::string &domain) {
    if (std::all_of(domain.begin(), domain.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
        return domain;
#ifdef CURLU_PUNYCODE
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
    char *host = nullptr;
    if (url != nullptr && curl_url_set(url.get(), CURLUPART_URL, ("http://" + domain + '/').c_str(), 0) == CURLUE_OK &&
        curl_url_get(url.get(), CURLUPART_HOST, &host, CURLU_PUNYCODE) == CURLUE_OK) {
        const std::unique_ptr<char, decltype(&curl_free)> owner(host, &curl_free);
        return host;
    }
#endif
    return std::nullopt;
}

} // namespace usher::courier
