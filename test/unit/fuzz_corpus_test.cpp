// The inputs that fuzzing has found interesting, fed to the same functions once more: no crash, no broken rule.
#include "../fuzz/mail_target.hpp"
#include "../fuzz/names_target.hpp"
#include "../fuzz/policy_target.hpp"
#include "../fuzz/request_target.hpp"
#include "../fuzz/template_target.hpp"
#include "../fuzz/webhook_target.hpp"
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>

namespace {

/// Feeds every file of a corpus to the target; how many there were.
int replay(const char *fuzzer, void (*target)(std::string_view)) {
    // The compiler may have been given a relative path, from another folder than this one.
    const char *const source = std::getenv("USHER_SOURCE");
    const auto root = source != nullptr ? std::filesystem::path(source)
                                        : std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
    const auto folder = root / "test/fuzz/corpus" / fuzzer;
    int files = 0;
    for (const auto &entry : std::filesystem::directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string input{std::istreambuf_iterator<char>(file), {}};
        target(input);
        // Every beginning of it as well: parsers fail at ends.
        for (std::size_t size = 0; size < std::min<std::size_t>(input.size(), 64); ++size)
            target(std::string_view(input).substr(0, size));
        ++files;
    }
    return files;
}

TEST(FuzzCorpus, Json) { EXPECT_GT(replay("json_fuzzer", usher::fuzz::json_target), 10); }
TEST(FuzzCorpus, Jwt) { EXPECT_GT(replay("jwt_fuzzer", usher::fuzz::jwt_target), 10); }
TEST(FuzzCorpus, Password) { EXPECT_GT(replay("password_fuzzer", usher::fuzz::password_target), 10); }
TEST(FuzzCorpus, Policy) { EXPECT_GT(replay("policy_fuzzer", usher::fuzz::policy_target), 10); }
TEST(FuzzCorpus, RequestHead) { EXPECT_GT(replay("head_fuzzer", usher::fuzz::head_target), 10); }
TEST(FuzzCorpus, Mail) { EXPECT_GT(replay("mail_fuzzer", usher::fuzz::mail_target), 10); }
TEST(FuzzCorpus, Names) { EXPECT_GT(replay("names_fuzzer", usher::fuzz::names_target), 10); }
TEST(FuzzCorpus, Template) { EXPECT_GT(replay("template_fuzzer", usher::fuzz::template_target), 10); }
TEST(FuzzCorpus, Webhook) { EXPECT_GT(replay("webhook_fuzzer", usher::fuzz::webhook_target), 10); }
TEST(FuzzCorpus, Chunks) { EXPECT_GT(replay("chunks_fuzzer", usher::fuzz::chunks_target), 10); }

/// Pieces that end lines, open quotes, comments and encoded words, put together at random into every part of a message.
TEST(FuzzCorpus, MailAtRandom) {
    const char *const given = std::getenv("USHER_FUZZ_SEED");
    const unsigned seed = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device()();
    std::cout << "USHER_FUZZ_SEED=" << seed << '\n';
    std::mt19937 random(seed);
    static constexpr std::string_view pieces[] = {"\r\nBcc: x@evil.example",
                                                  "\n",
                                                  "\r",
                                                  "\r\n\r\n",
                                                  std::string_view("\0", 1),
                                                  "\t",
                                                  " ",
                                                  "a",
                                                  "Ann",
                                                  "ann@example.com",
                                                  "<",
                                                  ">",
                                                  "\"",
                                                  "\\",
                                                  "(",
                                                  ")",
                                                  ",",
                                                  ";",
                                                  ":",
                                                  "@",
                                                  "=?UTF-8?B?",
                                                  "?=",
                                                  "=?utf-8?q?=0D=0ABcc:_x?=",
                                                  "\xc3\xa4",
                                                  "\xe2\x80\xa8",
                                                  "\xc2\x85",
                                                  "\x85",
                                                  "\xf0\x9f\x98\x80",
                                                  "--=_",
                                                  "Content-Type: text/html",
                                                  "X-Note",
                                                  "List-Unsubscribe",
                                                  "https://example.com/?a=b",
                                                  "\xff",
                                                  "\xff",
                                                  "\xff"};
    for (int round = 0; round < 4000; ++round) {
        std::string input;
        for (unsigned count = random() % 12; count > 0; --count) {
            const std::string_view piece = pieces[random() % std::size(pieces)];
            for (unsigned times = random() % 40 == 0 ? 300 : 1; times > 0; --times) input += piece;
        }
        usher::fuzz::mail_target(input);
    }
}

} // namespace
