#include "common/encoding.hpp"
#include "common/hmac.hpp"
#include "usher_payment/webhooks/response_filter.hpp"
#include "usher_payment/webhooks/signature.hpp"
#include "usher_payment/webhooks/webhook_event.hpp"
#include <gtest/gtest.h>
#include <map>

using namespace usher;
using namespace usher::payment;

namespace {
constexpr Instant now = 1'700'000'000 * one_second;
constexpr std::string_view body = R"({"id":"evt_1","type":"payment.succeeded"})";
constexpr std::string_view secret = "whsec_0123456789abcdef0123456789abcdef";

using Map = std::map<std::string, std::string, std::less<>>;
Headers headers(Map map) {
    return [map = std::move(map)](std::string_view name) {
        const auto found = map.find(name);
        return found == map.end() ? std::string() : found->second;
    };
}

std::string stripe_signature(std::string_view key, std::int64_t seconds, std::string_view text) {
    const std::string at = std::to_string(seconds);
    return "t=" + at + ",v1=" + hex_encode(hmac_sha256(key, at + "." + std::string(text)));
}
bool verify_stripe(const std::string &header, std::string_view text = body, std::int64_t tolerance = 300) {
    return verify({Scheme::stripe, secret, "", tolerance}, headers({{"stripe-signature", header}}), text, now);
}
} // namespace

TEST(WebhookSignature, StripeSignsTimeAndBody) {
    EXPECT_TRUE(verify_stripe(stripe_signature(secret, 1'700'000'000, body)));
    EXPECT_TRUE(verify_stripe(stripe_signature(secret, 1'700'000'000, body) + ",v0=" + std::string(64, '0')));
    EXPECT_TRUE(verify_stripe("v1=" + std::string(64, '0') + "," + stripe_signature(secret, 1'700'000'000, body)));
    EXPECT_FALSE(verify_stripe(stripe_signature(secret, 1'700'000'000, body), std::string(body) + " "));
    EXPECT_FALSE(verify_stripe(stripe_signature("another secret of enough length", 1'700'000'000, body)));
}

TEST(WebhookSignature, StripeHasATolerance) {
    EXPECT_TRUE(verify_stripe(stripe_signature(secret, 1'699'999'700, body)));
    EXPECT_FALSE(verify_stripe(stripe_signature(secret, 1'699'999'699, body)));
    EXPECT_FALSE(verify_stripe(stripe_signature(secret, 1'700'000'301, body)));
    EXPECT_FALSE(verify_stripe(stripe_signature(secret, 1'699'999'000, body), body, 999));
    EXPECT_TRUE(verify_stripe(stripe_signature(secret, 1'699'999'000, body), body, 1000));
}

TEST(WebhookSignature, MalformedHeadersAreRefused) {
    for (const char *header : {"", ",", "t=,v1=", "t=1700000000", "v1=00", "t=x,v1=00", "t=-1700000000,v1=00",
                               "t=17000000000000000000000000,v1=00", "t=1700000000,v1=zz", "t=1700000000,v1="})
        EXPECT_FALSE(verify_stripe(header)) << header;
    EXPECT_FALSE(verify_stripe(std::string(100000, ',')));
}

// The vector of the specification (standardwebhooks.com).
TEST(WebhookSignature, StandardWebhooks) {
    const Verifier verifier{Scheme::standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "", 300};
    const std::string text = R"({"test": 2432232314})";
    Map map{{"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
            {"webhook-timestamp", "1614265330"},
            {"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}};
    const Instant then = 1'614'265'330 * one_second;
    EXPECT_TRUE(verify(verifier, headers(map), text, then));
    EXPECT_FALSE(verify(verifier, headers(map), text, then + 301 * one_second));
    EXPECT_FALSE(verify(verifier, headers(map), text + " ", then));
    map["webhook-signature"] = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,x " + map["webhook-signature"];
    EXPECT_TRUE(verify(verifier, headers(map), text, then));
    map["webhook-id"] = "msg_another";
    EXPECT_FALSE(verify(verifier, headers(map), text, then));
}

TEST(WebhookSignature, PlainHmacInAHeaderOfItsOwn) {
    const Verifier verifier{Scheme::hmac, "a secret of enough length", "x-signature", 300};
    const std::string mac = hmac_sha256(verifier.secret, body);
    for (const std::string &given : {hex_encode(mac), "sha256=" + hex_encode(mac), base64_encode(mac)})
        EXPECT_TRUE(verify(verifier, headers({{"x-signature", given}}), body, now)) << given;
    EXPECT_FALSE(verify(verifier, headers({{"x-other", hex_encode(mac)}}), body, now));
    EXPECT_FALSE(verify(verifier, headers({{"x-signature", hex_encode(mac.substr(1))}}), body, now));
    EXPECT_FALSE(verify(verifier, headers({}), "", now));
}

TEST(WebhookSignature, SecretsMustFitTheirScheme) {
    EXPECT_EQ(secret_problem(Scheme::stripe, secret), "");
    EXPECT_NE(secret_problem(Scheme::stripe, "short"), "");
    EXPECT_NE(secret_problem(Scheme::standard, "whsec_not base64"), "");
    EXPECT_EQ(secret_problem(Scheme::standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "");
    EXPECT_NE(secret_problem(Scheme::hmac, std::string(1025, 'x')), "");
    EXPECT_FALSE(parse_scheme("Stripe"));
}

TEST(WebhookEvent, ReadsStripesForm) {
    const auto event =
        parse_webhook(R"({"id":"evt_1","type":"payment_intent.succeeded","created":1700000000,"data":{"object":
        {"id":"pi_1","amount":1000,"amount_received":900,"currency":"eur","metadata":{"provider_key":"usher-1"}}}})");
    ASSERT_TRUE(event);
    EXPECT_EQ(event->report, Report::payment_succeeded);
    EXPECT_EQ(event->processor_transaction_id, "pi_1");
    EXPECT_EQ(event->provider_key, "usher-1");
    EXPECT_EQ(event->amount_minor, 900);
    EXPECT_EQ(event->currency, "EUR");
    EXPECT_EQ(event->occurred_at, now);
}

TEST(WebhookEvent, ReadsMinorUnitsOfStripe) {
    const auto amount = [](const std::string &type, const std::string &currency, const std::string &number) {
        return parse_webhook(R"({"id":"e","type":")" + type + R"(","data":{"object":{"amount":)" + number +
                             R"(,"currency":")" + currency + R"("}}})")
            ->amount_minor;
    };
    for (const char *type :
         {"payment_intent.succeeded", "charge.succeeded", "refund.updated", "charge.dispute.created"}) {
        EXPECT_EQ(amount(type, "isk", "1200"), 12) << type;
        EXPECT_EQ(amount(type, "ugx", "100"), 1) << type;
        EXPECT_EQ(amount(type, "mga", "12"), 1200) << type;
        EXPECT_EQ(amount(type, "jpy", "1200"), 1200) << type;
        EXPECT_EQ(amount(type, "huf", "1200"), 1200) << type;
        EXPECT_EQ(amount(type, "kwd", "1230"), 1230) << type;
        EXPECT_EQ(amount(type, "isk", "1250"), 0) << type; // half a króna is nothing that we have asked for
        EXPECT_EQ(amount(type, "mga", "9223372036854775807"), 0) << type;
    }
    const auto plain =
        parse_webhook(R"({"id":"1","type":"payment.succeeded","data":{"amount_minor":1200,"currency":"ISK"}})");
    EXPECT_EQ(plain->amount_minor, 1200);
}

TEST(WebhookEvent, KnowsWhatStripesTypesMean) {
    const auto report = [](const std::string &type, const std::string &object) {
        return parse_webhook(R"({"id":"e","type":")" + type + R"(","data":{"object":)" + object + "}}")->report;
    };
    EXPECT_EQ(report("payment_intent.payment_failed", "{}"), Report::payment_failed);
    EXPECT_EQ(report("payment_intent.processing", "{}"), Report::payment_unknown);
    EXPECT_EQ(report("charge.failed", "{}"), Report::payment_failed);
    EXPECT_EQ(report("refund.updated", R"({"status":"succeeded"})"), Report::refund_succeeded);
    EXPECT_EQ(report("refund.updated", R"({"status":"pending"})"), Report::other);
    EXPECT_EQ(report("charge.refund.updated", R"({"status":"failed"})"), Report::refund_failed);
    EXPECT_EQ(report("charge.dispute.created", "{}"), Report::dispute_opened);
    EXPECT_EQ(report("charge.dispute.closed", R"({"status":"won"})"), Report::dispute_won);
    EXPECT_EQ(report("charge.dispute.closed", R"({"status":"warning_closed"})"), Report::dispute_won);
    EXPECT_EQ(report("charge.dispute.created", R"({"status":"warning_needs_response"})"), Report::other);
    EXPECT_EQ(report("charge.dispute.updated", R"({"status":"warning_under_review"})"), Report::other);
    EXPECT_EQ(report("charge.dispute.updated", R"({"status":"needs_response"})"), Report::dispute_opened);
    EXPECT_EQ(report("charge.dispute.updated", R"({"status":"lost"})"), Report::dispute_lost);
    EXPECT_EQ(report("charge.dispute.funds_reinstated", R"({"status":"won"})"), Report::dispute_won);
    EXPECT_EQ(report("charge.dispute.funds_reinstated", R"({"status":"under_review"})"), Report::other);
    EXPECT_EQ(report("customer.created", "{}"), Report::other);
}

TEST(WebhookEvent, ReadsThePlainForm) {
    const auto event = parse_webhook(R"({"id":"1","type":"refund.failed","timestamp":1700000000,"data":
        {"refund_id":"re_1","transaction_id":"pi_1","amount_minor":5,"fee_minor":1,"currency":"JPY","failure_code":"lost"}})");
    ASSERT_TRUE(event);
    EXPECT_EQ(event->report, Report::refund_failed);
    EXPECT_EQ(event->processor_refund_id, "re_1");
    EXPECT_EQ(event->fee_minor, 1);
    EXPECT_EQ(event->failure_code, "lost");
}

TEST(WebhookEvent, OtherShapesAreNoEvent) {
    for (const char *text : {"", "null", "[]", "{", R"({"id":"1","type":"t","data":[]})", "\"text\""})
        EXPECT_FALSE(parse_webhook(text)) << text;
    EXPECT_EQ(parse_webhook(R"({"id":7,"type":["x"]})")->id, "");
    EXPECT_FALSE(parse_webhook(R"({"id":"1","type":"payment.succeeded","data":{"amount_minor":1.5}})")->amount_minor);
    EXPECT_FALSE(parse_webhook(R"({"id":"1","type":"t","created":99999999999999})")->occurred_at);
}

TEST(ResponseFilter, KeepsKnownMembersOnly) {
    EXPECT_EQ(
        filter_response(
            R"({"id":"pi_1","client_secret":"s","card":{"brand":"visa","number":"4242424242424242","last4":"4242"}})"),
        R"({"id":"pi_1","card":{"brand":"visa","last4":"4242"}})");
    EXPECT_EQ(filter_response(R"({"reason":"card 4242 4242 4242 4242","status":"failed"})"), R"({"status":"failed"})");
    EXPECT_EQ(filter_response(R"({"name":"Ann"})"), "");
    EXPECT_EQ(filter_response("[1]"), "");
    EXPECT_EQ(filter_response("no json"), "");
}

TEST(ResponseFilter, CutsWhatIsLongOrDeep) {
    const std::string kept = filter_response(R"({"id":")" + std::string(1000, 'x') + R"("})");
    EXPECT_EQ(kept, R"({"id":")" + std::string(255, 'x') + R"("})");
    EXPECT_EQ(filter_response(R"({"data":{"data":{"data":{"data":{"id":"1"}}}}})"), "");
    EXPECT_EQ(filter_response(R"({"fees":[{"amount":1,"secret":"s"},"x"]})"), R"({"fees":[{"amount":1},"x"]})");
}
