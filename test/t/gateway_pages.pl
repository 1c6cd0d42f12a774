# The pages for people: / and /docs, by hand and in headless Chromium.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('pages');
my $user = add_user($node, 'person@example.com', 'reader');
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test');

my $answer = http($gateway, 'GET', '/');
is($answer->{status}, 200, 'the landing page');
like($answer->{headers}{'content-type'}, qr{^text/html}, '… is HTML');
like($answer->{headers}{'content-security-policy'}, qr/default-src 'none'; script-src 'self'/, '… may load nothing from elsewhere');
unlike($answer->{content}, qr{(?:src|href)="(?:https?:)?//}, '… and does not try');
is(http($gateway, 'GET', '/', { headers => { 'If-None-Match' => $answer->{headers}{etag} } })->{status}, 304, '… conditional');
my ($head) = parse_answers(scalar raw($gateway, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 1);
is_deeply([ $head->{status}, $head->{headers}{'content-length'}[0] ], [ 200, length $answer->{content} ], '… HEAD');
is(post_json($gateway, '/', {})->{status}, 404, 'other methods are the database\'s');
like(http($gateway, 'GET', "/docs/$_")->{status}, qr/^40[04]$/, "no file but the pages: $_") for 'made', 'npm', 'package.json', '%2e%2e', 'docs.html';
my $off = start_gateway($node, pages => 'none');
is(http($off, 'GET', '/')->{status}, 404, 'pages=none');
stop_gateway($off);

SKIP:
{
    my ($chromium) = grep { -x } map { ("$_/chromium", "$_/chromium-browser", "$_/google-chrome") } split /:/, $ENV{PATH};
    skip 'no viewer was built', 1 if http($gateway, 'GET', '/docs')->{status} == 404;
    for my $file (qw(swagger-ui.css swagger-ui-bundle.js docs.js pages.css icon.svg))
    {
        $answer = http($gateway, 'GET', "/docs/$file");
        is($answer->{status}, 200, "/docs/$file");
        unlike($answer->{content}, qr/sourceMappingURL=/, '… names no file that is not there');
    }
    is(http($gateway, 'GET', '/docs/')->{status}, 200, '/docs/');
    skip 'no Chromium, or no playwright-core', 1 unless $chromium && -d ($ENV{USHER_NODE} // '') . '/playwright-core';
    my $folder = PostgreSQL::Test::Utils::tempdir();
    local $ENV{HOME} = $folder;
    local $ENV{NODE_PATH} = $ENV{USHER_NODE};
    my ($out, $errors) = ('', '');
    ok(IPC::Run::run([ 'node', "$ENV{USHER_SOURCE}/test/node/browser.js", $gateway->{url}, $chromium, 'person@example.com', $UsherGateway::password ],
            '<', \undef, '>', \$out, '2>', \$errors, IPC::Run::timeout(180)), 'the browser') or diag($errors);
    my $seen = eval { decode_json($out) } // {};
    is($seen->{title}, 'usher', 'landing page');
    my $document = json_of(http($gateway, 'GET', '/openapi.json'));
    my $operations = 0;
    $operations += keys %$_ for values %{ $document->{paths} };
    is($seen->{operations}, $operations, 'every operation is shown');
    is_deeply($seen->{complaints_before_login}, [], 'the pages load without a word in the console');
    like($seen->{refused}, qr/wrong password/, 'a refused login says so');
    like($seen->{logged_in}, qr/^Logged in as person\@example\.com/, 'a person logs in');
    is($seen->{me}{status}, 200, '… and tries a call');
    like($seen->{me}{body}, qr/\Q$user\E/, '… that knows who is asking');
    like($seen->{early}, qr/calls carry no token yet/, 'whoever logs in before the document is there reads that calls carry no token');
    is($seen->{me_early}{status}, 200, '… and then they carry it');
    # the browser itself reports the 401 of the wrong password, and nothing else
    is_deeply([ grep { !/status of 401/ } @{ $seen->{complaints} } ], [], 'no word in the console then either');
    is_deeply($seen->{elsewhere}, [], 'nothing is loaded from elsewhere');
}
is(stop_gateway($gateway), 0, 'stopped');
done_testing();
