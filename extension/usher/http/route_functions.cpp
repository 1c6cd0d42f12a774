// What the SQL half asks about routed functions, so that add_route() and OpenAPI never say anything else than the
// dispatcher does.
#include "pg/args.hpp"
#include "pg/result.hpp"
#include "usher/http/arguments.hpp"

using namespace usher;

/// usher._check_route(path_template, function): the template's shape; throws when the function cannot be routed there.
USHER_FUNCTION(usher_http_check_route) {
    const pg::Args args(fcinfo);
    std::string error;
    const auto path = route::parse_template(args.text(0), error);
    if (!path) throw Error(errc::invalid_argument, "path_template is not valid: " + error);
    const http::Function function = http::describe(args.oid(1));
    for (const route::Segment &segment : *path) {
        if (!segment.is_parameter) continue;
        const http::Argument *const argument = function.find(segment.text);
        if (argument == nullptr)
            throw Error(errc::invalid_argument, "the function has no argument \"" + segment.text + "\" for the path");
        if (argument->value.shape == http::Shape::object || argument->value.shape == http::Shape::array)
            throw Error(errc::invalid_argument, "argument \"" + segment.text + "\" cannot be part of a path");
        const auto number = static_cast<std::size_t>(argument - function.arguments.data());
        for (const http::PageKey &key : function.page)
            if (key.argument == number)
                throw Error(errc::invalid_argument,
                            "argument \"" + segment.text + "\" says where a page begins and cannot be part of a path");
    }
    return pg::result(pg::text(route::shape(*path)));
}

/// usher._route_arguments(method, path_template, function): each argument of a routed function and its place.
USHER_FUNCTION(usher_http_route_arguments) {
    const pg::Args args(fcinfo);
    const std::string_view method = args.text(0);
    std::string error;
    const auto path = route::parse_template(args.text(1), error);
    if (!path) throw Error(errc::invalid_argument, "path_template is not valid: " + error);
    const http::Function function = http::describe(args.oid(2));
    pg::RowSet rows(fcinfo);
    for (const http::Argument &argument : function.arguments) {
        const http::Place place = place_of(function, argument, *path, method);
        rows.add(
            {pg::text(argument.name), pg::int4(static_cast<std::int32_t>(&argument - function.arguments.data()) + 1),
             pg::oid(argument.value.type), pg::text(http::place_name(place)), pg::boolean(argument.has_default())});
    }
    return rows.finish();
}

/// usher._routed_function(function): what its answers are like.
USHER_FUNCTION(usher_http_routed_function) {
    const Oid oid = pg::Args(fcinfo).oid(0);
    pg::RowBuilder row(fcinfo);
    http::Function function;
    try {
        function = http::describe(oid);
    } catch (const Error &) { // replaced, since the route was made, by one that cannot be routed
        return row.set("is_routable", pg::boolean(false)).finish();
    }
    row.set("is_routable", pg::boolean(true));
    row.set("is_paged", pg::boolean(!function.page.empty()));
    if (function.result == http::Result::file) row.set("media_type", pg::text(function.media_type));
    row.set("shows_secrets", pg::boolean(function.shows_secrets));
    return row.finish();
}
