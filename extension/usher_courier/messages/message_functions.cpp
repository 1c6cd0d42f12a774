#include "usher_courier/courier_kit.hpp"
#include "usher_courier/messages/mail_address.hpp"
#include "usher_courier/messages/message_template.hpp"

namespace usher::courier {

namespace {
struct Bodies {
    MessageTemplate subject, text;
    std::optional<MessageTemplate> html;
};

Bodies read(const pg::Args &args) {
    Bodies bodies{{args.text(0), Medium::line}, {args.text(1), Medium::text}, {}};
    if (const auto html = args.optional_text(2)) bodies.html.emplace(*html, Medium::html);
    return bodies;
}

json::Value root(json::Document &document, const std::string &text) {
    if (!document.parse(text)) throw Error(errc::invalid_argument, "values of a message: " + document.error());
    return document.root();
}

constexpr std::size_t max_subject = 400;
} // namespace

} // namespace usher::courier

using namespace usher;

/// _check_template(subject, body_text, body_html)
USHER_FUNCTION(usher_courier_check_template) {
    (void)courier::read(pg::Args(fcinfo));
    return pg::null_result(fcinfo);
}

/// _render_message(subject, body_text, body_html, language, values_of_subject, values_of_body)
USHER_FUNCTION(usher_courier_render_message) {
    const pg::Args args(fcinfo);
    pg::RowBuilder row(fcinfo);
    try {
        const courier::Bodies bodies = courier::read(args);
        const std::string_view language = args.text(3);
        const std::string of_subject = args.output(4), of_body = args.output(5);
        json::Document document;
        const std::string subject = bodies.subject.render(courier::root(document, of_subject), language);
        const json::Value values = courier::root(document, of_body);
        const std::string text_part = bodies.text.render(values, language);
        row.set("subject_line", pg::text(clip(trim(subject), courier::max_subject)));
        row.set("text_part", pg::text(text_part));
        if (bodies.html) row.set("html_part", pg::text(bodies.html->render(values, language)));
    } catch (const Error &error) {
        if (error.sqlstate() != errc::invalid_template.sqlstate) throw;
        pg::RowBuilder refused(fcinfo);
        refused.set("problem", pg::text(error.what()));
        return refused.finish();
    }
    return row.finish();
}

/// _is_mail_address(address text)
USHER_FUNCTION(usher_courier_is_mail_address) {
    return BoolGetDatum(courier::is_mail_address(pg::Args(fcinfo).text(0)));
}

/// _parse_mailbox(mailbox text)
USHER_FUNCTION(usher_courier_parse_mailbox) {
    pg::RowBuilder row(fcinfo);
    const auto mailbox = courier::parse_mailbox(pg::Args(fcinfo).text(0));
    if (!mailbox) return row.finish();
    if (!mailbox->name.empty()) row.set("name", pg::text(mailbox->name));
    row.set("address", pg::text(mailbox->address));
    row.set("domain", pg::text(courier::domain_of(mailbox->address)));
    return row.finish();
}
