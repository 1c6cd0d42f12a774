# The examples of docs/courier.md are run in order, and do what is said there.
use strict;
use warnings;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @blocks = document_blocks('docs/courier.md');
cmp_ok(scalar @blocks, '>=', 6, 'docs/courier.md has blocks to run');

my $node = PostgreSQL::Test::Cluster->new('page');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app');
sub one { return $node->safe_psql('app', "SET client_min_messages = warning; $_[0]") }
for my $block (@blocks)
{
    # A session for each: what is set for the database holds in the next one.
    my ($code, $out, $errors) = $node->psql('app', $block->{text}, on_error_stop => 1);
    is($code, 0, "line $block->{line}: runs without an error") or diag($errors);
    like($out, qr/$_/, "line $block->{line}: prints what is said") for @{ $block->{expect} };
}

# --- what the page says about them
is(one("SELECT string_agg(sender || ' | ' || recipient || ' | ' || subject || ' | ' || body_text, E'\\n') FROM courier.claim_messages('w') WHERE subject LIKE 'Invoice%'"),
    'The Car Wash <post@wash.example> | ann@example.com | Invoice 7 | Please pay EUR 12.50.', 'the application has a message of its own');
is(one("SELECT has_function_privilege('courier_program', 'courier.claim_messages(text,integer,interval)', 'EXECUTE') AND NOT has_table_privilege('courier_program', 'courier.messages', 'SELECT')"), 't', 'the program may claim, and read nothing');
is(one("SELECT url || ' ' || handler_schema || '.' || handler_name || ' ' || context FROM courier.http_requests WHERE purpose = 'application'"), 'https://captcha.example/verify app.take_verdict {"form": 7}', 'a request waits for the program');
is(one("SELECT issuer FROM usher.list_followed_issuers()"), 'https://tenant.eu.auth0.com/', 'an issuer is followed');
is(one('SELECT count(*) FROM usher.self_check() WHERE violations > 0'), 0, 'self_check() finds nothing');
$node->stop;
done_testing();
