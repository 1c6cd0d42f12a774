# The OpenAPI document by other people's tools: redocly and spectral find no error in it, and Prism, as a validating proxy
# before the gateway, finds no answer that violates it. Every documented operation is called.
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $modules = $ENV{USHER_NODE} // '';
plan skip_all => 'the npm packages are not installed' unless -d "$modules/\@stoplight/prism-cli";
my $source = $ENV{USHER_SOURCE};
my $node = start_usher_cluster('openapi');
$node->safe_psql('postgres', 'CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE; SELECT usher.grant_access(\'gateway_test\', \'gateway\')');
my $admin = add_user($node, 'admin@example.com', 'admin');
my $victim = add_user($node, 'victim@example.com', 'client');
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', max_body_bytes => 4_000_000);
my $folder = PostgreSQL::Test::Utils::tempdir();

my $answer = http($gateway, 'GET', '/openapi.json');
is($answer->{status}, 200, 'the document') or BAIL_OUT($answer->{content});
my $document = decode_json($answer->{content});
is($document->{openapi}, '3.1.0', 'OpenAPI 3.1');
append_to_file("$folder/openapi.json", $answer->{content});

sub tool
{
    my ($name, @command) = @_;
    my ($out, $errors) = ('', '');
    local $ENV{HOME} = $folder;
    my $good = IPC::Run::run([ 'node', @command ], '<', \undef, '>', \$out, '2>', \$errors, IPC::Run::timeout(240));
    ok($good, "$name finds no error") or diag(substr("$out$errors", 0, 6000));
    return $out;
}
tool('redocly', "$modules/\@redocly/cli/bin/cli.js", 'lint', "$folder/openapi.json", '--extends=recommended', '--format=summary', '--skip-rule=info-license');
append_to_file("$folder/spectral.yaml", "extends: [\"spectral:oas\"]\n");
tool('spectral', "$modules/\@stoplight/spectral-cli/dist/index.js", 'lint', "$folder/openapi.json", '-r', "$folder/spectral.yaml", '--fail-severity=error', '-q');

# --- Prism before the gateway
my $port = 10000 + int(rand(20000));
my $prism = IPC::Run::start([ 'node', "$modules/\@stoplight/prism-cli/dist/index.js", 'proxy', "$folder/openapi.json", $gateway->{url}, '--port', $port, '--host', '127.0.0.1' ],
    '<', \undef, '>', "$folder/prism.log", '2>&1');
wait_for(sub { slurp_file("$folder/prism.log") =~ /listening on/ }, 'Prism listens') or BAIL_OUT(slurp_file("$folder/prism.log"));

my %admin = log_in($gateway, 'admin@example.com');
my ($token) = $admin{Authorization} =~ /^Bearer (.*)/;
sub session_of { my ($email) = @_; return json_of(post_json($gateway, '/auth/login', { identifier => $email, password => $UsherGateway::password })) }
my $refresh = session_of('victim@example.com')->{refresh_token};
my $session = session_of('victim@example.com')->{refresh_token};
my $gone = session_of('victim@example.com')->{access_token};
my $all_gone = session_of('victim@example.com')->{access_token};
my $ended = $node->safe_psql('postgres', "SELECT id FROM usher.sessions WHERE user_id = '$victim' ORDER BY created_at LIMIT 1");
my $requests = {
    post_auth_register => { body => { email => 'new@example.com', password => 'another tiger 93 mountain' } },
    post_auth_login => { body => { identifier => 'victim@example.com', password => $UsherGateway::password } },
    post_auth_refresh => { body => { refresh_token => $refresh } },
    post_auth_logout => { token => $gone },
    post_auth_sessions_logout_all => { token => $all_gone },
    post_auth_api_keys => { body => { name => 'key', permissions => ['booking:read'] } },
    post_auth_email_change => { body => { new_email => 'changed@example.com', current_password => $UsherGateway::password } },
    post_auth_second_factors_totp => { body => { current_password => $UsherGateway::password } },
    post_oauth_token => { body => { grant_type => 'refresh_token', refresh_token => $session } },
    post_oauth_introspect => { body => { token => $token } },
    post_users_user_id_roles => { body => { role => 'washer' } },
    post_roles => { body => { name => 'tester' } },
    post_permissions => { body => { name => 'thing:do' } },
    put_users_user_id_tier => { body => { tier => 'gold' } },
    put_users_user_id_password => { body => { password => 'quiet harbour 51 lanterns' } },
    put_machines_name => { path => { name => 'light' }, body => { definition => { initial => ['off'], terminal => ['broken'], transitions => [ { from => 'off', to => 'broken', action => 'break' } ] } } },
    get_machines_machine_diagram => { path => { machine => 'light' } },
    get_machines_machine_statuses => { path => { machine => 'light' } },
    get_audit_history => { query => { relation => 'usher.users', key => { id => $victim } } },
    get_users => { query => { max_rows => 1 } },
    get_audit => { query => { max_rows => 2 } },
    put_rate_limits_policy => { path => { policy => 'test' }, body => { algorithm => 'fixed_window', max_hits => 5, period => 'PT1H' } },
    delete_permissions_name => { path => { name => 'thing:do' } },
    delete_roles_role => { path => { role => 'tester' } },
};
append_to_file("$folder/scenario.json", encode_json({
    document => $document, token => $token, requests => $requests,
    values => {
        user_id => $victim, to_user => $victim, from_user => $victim, session_id => $ended, role => 'tester', to_role => 'tester', from_role => 'tester', parent => 'client',
        target_role => 'client', permission => 'thing:do', policy => 'auth.mail', key => 'address:192.0.2.1', email => 'nobody@example.com', purpose => 'newsletter' },
    # what ends other operations' subjects comes last
    order_last => [qw(delete_users_user_id_roles_role delete_roles_role_parents_parent delete_roles_role delete_users_user_id post_users_user_id_restore post_users_user_id_erase)] }));
# a machine, role and permission that others refer to: made by the walk itself where it comes in time, else here
$node->safe_psql('postgres', "SELECT usher.create_permission('thing:do'), usher.create_role('tester')");
my ($out, $errors) = ('', '');
ok(IPC::Run::run([ 'node', "$source/test/node/openapi_walk.js", "http://127.0.0.1:$port", "$folder/scenario.json" ], '<', \undef, '>', \$out, '2>', \$errors, IPC::Run::timeout(240)), 'the walk') or diag($errors);
$prism->signal('TERM');
$prism->finish;

my @walked = map { decode_json($_) } split /\n/, $out;
my @operations = map { my $item = $_; map { $_->{operationId} } values %$item } values %{ $document->{paths} };
is_deeply([ sort map { $_->{operation} } @walked ], [ sort @operations ], 'every documented operation was called (' . @operations . ')');
my %by_status;
for my $each (@walked)
{
    $by_status{ int($each->{status} / 100) }++;
    is_deeply($each->{violations}, [], "$each->{operation}: $each->{status}, as documented") or diag(explain($each));
    cmp_ok($each->{status}, '<', 500, "$each->{operation}: not our fault") or diag($each->{text});
}
note(explain([ map { "$_->{status} $_->{operation} $_->{text}" } grep { $_->{status} >= 400 } @walked ]));
cmp_ok($by_status{2} // 0, '>=', @operations * 0.6, 'most of them succeed') or diag(explain([ map { "$_->{status} $_->{operation}: $_->{text}" } grep { $_->{status} >= 400 } @walked ]));
is(stop_gateway($gateway), 0, 'stopped');
done_testing();
