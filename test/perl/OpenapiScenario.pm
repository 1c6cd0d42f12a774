# What the walk through the OpenAPI document (test/t/gateway_openapi.pl) sends, so that every operation succeeds: accounts, a car wash with
# bookings in each status, tokens and codes; and by operationId the values that cannot be guessed from the document.
package OpenapiScenario;
use strict;
use warnings;
use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Utils;
use UsherGateway;
use UsherParallel qw(totp);

our @EXPORT = qw(scenario);

# The demo's car wash, and a second location and service for what changes them. One booking for each operation that moves it.
my $seed = <<'SQL';
CREATE TABLE public.seed (name text PRIMARY KEY, value text);
DO $$
DECLARE
    place constant uuid := '01900000-0000-7000-8000-000000000001';
    wash constant uuid := '01900000-0000-7000-8000-000000000011';
    other_place uuid := usher.uuid_v7();
    other_service uuid := usher.uuid_v7();
    washer uuid := (usher.find_user('washer@carwash.example')).user_id;
    washer2 uuid := (usher.find_user('washer2@carwash.example')).user_id;
    session constant uuid := usher.uuid_v7(); -- a service given in appointments
    noon timestamptz := (date_trunc('day', now() AT TIME ZONE 'America/New_York') + interval '3 days 12 hours') AT TIME ZONE 'America/New_York';
    customer uuid;
    made uuid;
    purpose text;
    hour integer := 0;
BEGIN
    PERFORM wash.create_service('Polish', '30 minutes', 100, 'USD', id => other_service);
    PERFORM wash.create_service('Restoration', '30 minutes', 100, 'USD', by_appointment => true, id => session);
    PERFORM wash.set_location_services(place, ARRAY[wash, session]);
    PERFORM wash.create_location('Elsewhere', '2 Clean Street', 'New York', 'NY', '10001', time_zone => 'America/New_York', id => other_place);
    PERFORM wash.set_location_hours(other_place, '{1,2,3,4,5,6,7}', '[{"opens": "07:00", "closes": "21:00"}]');
    PERFORM wash.assign_staff(other_place, washer2, 'washer');
    SELECT c.id INTO customer FROM wash.upsert_customer(name => 'Carl Customer') c;
    INSERT INTO public.seed VALUES ('location_id', place), ('service_id', wash), ('staff_id', washer), ('washer2', washer2), ('customer_id', customer),
        ('other_location', other_place), ('other_service', other_service), ('noon', to_json(noon) #>> '{}'),
        ('other_noon', to_json(noon + interval '30 days') #>> '{}'),
        ('series_noon', to_json(noon + interval '31 days') #>> '{}'),
        ('moved_noon', to_json(noon + interval '32 days') #>> '{}'),
        ('time_off', (SELECT t.time_off_id FROM wash.add_staff_time_off(washer2, '[2030-05-01,2030-05-02)') t));
    FOREACH purpose IN ARRAY '{read,confirm,start,complete,cancel,reschedule,reassign,swap_a,swap_b,schedule,appointment}'::text[] LOOP
        hour := hour + 1; -- one a day: nothing collides
        SELECT b.booking_id INTO made FROM wash.create_booking(customer_id => customer, location_id => place,
            service_id => CASE WHEN purpose IN ('schedule', 'appointment') THEN session ELSE wash END,
            start_at => noon + make_interval(days => hour), staff_id => CASE purpose WHEN 'swap_b' THEN washer2 ELSE washer END) b;
        INSERT INTO public.seed VALUES (purpose, made);
        IF purpose IN ('start', 'complete', 'appointment') THEN
            PERFORM wash.confirm_booking(made);
        END IF;
        IF purpose = 'complete' THEN
            PERFORM wash.start_booking(made);
        END IF;
    END LOOP;
    INSERT INTO public.seed SELECT 'appointment_id', a.id FROM wash.appointments a WHERE a.booking_id = made; -- of the last one
    INSERT INTO public.seed VALUES ('again', tstzrange(noon + interval '20 days', noon + interval '20 days 30 minutes'));
    PERFORM usher.create_permission('thing:do'), usher.create_role('tester');
    PERFORM usher.link_identity((usher.find_user('victim@example.com')).user_id, 'idp', 'victim'), usher.hit_rate_limit('auth.mail', 'address:192.0.2.1');
    PERFORM usher.subscribe('thing.done', 'walker', mode => 'async');
    INSERT INTO public.seed SELECT 'event_id', usher.publish('thing.done', '{}');
    UPDATE usher.deliveries SET status = 'parked' WHERE consumer = 'walker';
    PERFORM usher.request_login_code('code@example.com');
    PERFORM usher.register_user('unverified@example.com', 'tiger umbrella 47 rivers');
    PERFORM usher.register_user('unverified2@example.com', 'tiger umbrella 47 rivers');
    PERFORM usher.request_verification_code('unverified2@example.com');
    INSERT INTO public.seed VALUES
        ('reset_token', usher.create_password_reset((usher.find_user('reset@example.com')).user_id)),
        ('verify_token', usher.create_email_verification((usher.find_user('unverified@example.com')).user_id)),
        ('login_code', (SELECT e.payload ->> 'code' FROM usher.events e WHERE e.payload ->> 'email' = 'code@example.com' AND e.payload ? 'code' ORDER BY e.id DESC LIMIT 1)),
        ('verify_code', (SELECT e.payload ->> 'code' FROM usher.events e WHERE e.payload ->> 'email' = 'unverified2@example.com' AND e.payload ? 'code' ORDER BY e.id DESC LIMIT 1));
END $$;
SELECT json_object_agg(name, value) FROM public.seed;
SQL

# The scenario for openapi_walk.js, without the document.
sub scenario
{
    my ($node, $gateway) = @_;
    my %user = map { $_ => add_user($node, "$_\@example.com", $_ eq 'admin' ? 'admin' : 'client') } qw(admin victim reset code change oauth factor factor2 factor3);
    my $seeded = decode_json($node->safe_psql('postgres', $seed));
    my $session_of = sub { return json_of(post_json($gateway, '/auth/login', { identifier => "$_[0]\@example.com", password => $UsherGateway::password })) };
    my $admin = $session_of->('admin')->{access_token};
    my $keys = json_of(http($gateway, 'GET', '/.well-known/jwks.json'));
    my $api_key = json_of(post_json($gateway, '/auth/api-keys', { name => 'to be revoked', permissions => ['booking:read'] }, Authorization => "Bearer $admin"));

    # second factors: one to confirm, one to use and remove, one to get new recovery codes for
    my %factor;
    for my $name (qw(factor factor2 factor3))
    {
        my $token = $session_of->($name)->{access_token};
        my %bearer = (Authorization => "Bearer $token");
        my $enrolled = json_of(post_json($gateway, '/auth/second-factors/totp', { current_password => $UsherGateway::password }, %bearer));
        $factor{$name} = { token => $token, id => $enrolled->{factor_id}, secret => $enrolled->{secret} };
        next if $name eq 'factor';
        $factor{$name}{codes} = json_of(post_json($gateway, "/auth/second-factors/$enrolled->{factor_id}/confirm", { code => totp($enrolled->{secret}, -1) }, %bearer))->{recovery_codes};
    }
    my $challenge = $session_of->('factor2')->{details}{challenge};
    my $factor_code = sub { my ($name) = @_; return { code => shift @{ $factor{$name}{codes} } } };
    my @hours = (weekdays => [1], periods => [ { opens => '08:00', closes => '12:00' } ]);
    $session_of->('victim');
    my $ended = $node->safe_psql('postgres', "SELECT id FROM usher.sessions WHERE user_id = '$user{victim}' ORDER BY created_at LIMIT 1");
    my $new = sub { my (%more) = @_; return { customer_id => $seeded->{customer_id}, service_id => $seeded->{service_id}, location_id => $seeded->{location_id}, %more } };
    my $booking = sub { my ($purpose, %body) = @_; return { path => { booking_id => $seeded->{$purpose} }, body => \%body } };
    my $elsewhere = sub { my (%body) = @_; return { path => { location_id => $seeded->{other_location} }, body => \%body } };

    my %requests = (
        # accounts
        post_auth_register => { body => { email => 'new@example.com', password => 'another tiger 93 mountain' } },
        post_auth_login => { body => { identifier => 'victim@example.com', password => $UsherGateway::password } },
        post_auth_login_code => { body => { email => 'code@example.com', code => $seeded->{login_code} } },
        post_auth_login_second_factor => { body => { challenge => $challenge, %{ $factor_code->('factor2') } } },
        post_auth_refresh => { body => { refresh_token => $session_of->('victim')->{refresh_token} } },
        post_auth_logout => { token => $session_of->('victim')->{access_token} },
        post_auth_sessions_logout_all => { token => $session_of->('victim')->{access_token} },
        post_auth_verify_email => { body => { token => $seeded->{verify_token}, password => 'tiger umbrella 47 rivers' } },
        post_auth_verify_email_code => { body => { email => 'unverified2@example.com', code => $seeded->{verify_code}, password => 'tiger umbrella 47 rivers' } },
        post_auth_password_reset => { body => { token => $seeded->{reset_token}, new_password => 'quiet harbour 51 lanterns' } },
        post_auth_password_change => { token => $session_of->('change')->{access_token}, body => { current_password => $UsherGateway::password, new_password => 'quiet harbour 51 lanterns' } },
        post_auth_email_change => { body => { new_email => 'changed@example.com', current_password => $UsherGateway::password } },
        post_auth_second_factors_totp => { body => { current_password => $UsherGateway::password } },
        post_auth_second_factors_factor_id_confirm => { token => $factor{factor}{token}, path => { factor_id => $factor{factor}{id} }, body => { code => totp($factor{factor}{secret}, 1) } },
        post_auth_second_factors_verify => { token => $factor{factor2}{token}, body => $factor_code->('factor2') },
        post_auth_second_factors_factor_id_remove => { token => $factor{factor2}{token}, path => { factor_id => $factor{factor2}{id} }, body => $factor_code->('factor2') },
        post_auth_second_factors_recovery_codes => { token => $factor{factor3}{token}, body => $factor_code->('factor3') },
        post_auth_api_keys => { body => { name => 'key', permissions => ['booking:read'] } },
        delete_auth_api_keys_api_key_id => { path => { api_key_id => $api_key->{api_key_id} } },
        post_oauth_token => { body => { grant_type => 'refresh_token', refresh_token => $session_of->('oauth')->{refresh_token} } },
        post_oauth_introspect => { body => { token => $admin } },
        # administration
        get_users => { query => { max_rows => 1 } },
        post_users_user_id_roles => { body => { role => 'washer' } },
        delete_users_user_id_roles_role => { path => { role => 'washer' } },
        post_events_event_id_retry => { path => { event_id => $seeded->{event_id} }, body => { consumer => 'walker' } },
        put_users_user_id_tier => { body => { tier => 'gold' } },
        put_users_user_id_password => { body => { password => 'quiet harbour 51 lanterns' } },
        post_roles => { body => { name => 'tester2' } },
        post_permissions => { body => { name => 'thing:new' } },
        delete_permissions_name => { path => { name => 'thing:new' } },
        post_policies => { body => { ptype => 'p', v0 => 'tester', v1 => 'thing', v2 => 'do' } },
        delete_policies => { query => { ptype => 'p', v0 => 'tester', v1 => 'thing', v2 => 'do' } },
        get_audit => { query => { max_rows => 2 } },
        get_audit_history => { query => { relation => 'usher.users', key => { id => $user{victim} } } },
        get_audit_as_of => { query => { relation => 'usher.users', key => { id => $user{victim} }, instant => '2030-01-01T00:00:00Z' } },
        put_machines_name => { path => { name => 'light' }, body => { definition => { initial => ['off'], terminal => ['broken'], transitions => [ { from => 'off', to => 'broken', action => 'break' } ] } } },
        put_rate_limits_policy => { path => { policy => 'test' }, body => { algorithm => 'fixed_window', max_hits => 5, period => 'PT1H' } },
        post_token_issuers => { body => { issuer => 'https://idp.example.com', provider => 'idp', audiences => ['api'], algorithms => ['ES256'], jwks => $keys } },
        # bookings
        get_slots_explain => { query => { start_at => $seeded->{noon} } },
        post_bookings => { body => $new->(start_at => $seeded->{other_noon}) },
        post_bookings_series => { body => $new->(starts => [ $seeded->{series_noon} ]) },
        post_bookings_swap => { body => { booking_a => $seeded->{swap_a}, booking_b => $seeded->{swap_b} } },
        (map { ("post_bookings_booking_id_$_" => $booking->($_)) } qw(confirm start complete)),
        post_bookings_booking_id_cancel => $booking->('cancel', reason_code => 'customer_request'),
        post_bookings_booking_id_reschedule => $booking->('reschedule', start_at => $seeded->{moved_noon}),
        post_bookings_booking_id_reassign => $booking->('reassign', staff_id => $seeded->{washer2}),
        post_bookings_booking_id_appointments => $booking->('schedule', during => $seeded->{again}),
        post_appointments_appointment_id_transition => { body => { to_status => 'cancelled', reason_code => 'customer_request' } },
        post_customers => { body => { name => 'Nora New' } },
        # services, locations, staff
        post_services => { body => { name => 'Wax', duration => 'PT30M', price_minor => 100, currency => 'USD' } },
        patch_services_service_id => { path => { service_id => $seeded->{other_service} }, body => { changes => { description => 'shiny' } } },
        put_services_service_id_active => { path => { service_id => $seeded->{other_service} }, body => { is_active => JSON::PP::false } },
        patch_locations_location_id => $elsewhere->(changes => { phone => '+1 212 555 0101' }),
        put_locations_location_id_active => $elsewhere->(is_active => JSON::PP::false),
        put_locations_location_id_hours => $elsewhere->(@hours),
        put_locations_location_id_exceptions_local_date => $elsewhere->(periods => []),
        put_locations_location_id_services => $elsewhere->(service_ids => [ $seeded->{service_id} ]),
        post_locations_location_id_staff => $elsewhere->(staff_id => $seeded->{staff_id}, role => 'washer'),
        put_locations_location_id_staff_staff_id_hours => $elsewhere->(@hours),
        delete_locations_location_id_staff_staff_id => $elsewhere->(),
        post_staff_staff_id_time_off => { body => { during => '[2030-06-01T00:00:00Z,2030-06-02T00:00:00Z)' } },
        put_staff_staff_id_skills => { body => { service_ids => [ $seeded->{service_id} ] } },
        delete_staff_time_off_time_off_id => { path => { time_off_id => $seeded->{time_off} } });
    return {
        token => $admin, requests => \%requests,
        values => { # by the name of a parameter
            (map { $_ => $seeded->{$_} } qw(location_id service_id staff_id customer_id appointment_id)), booking_id => $seeded->{read},
            (map { $_ => $user{victim} } qw(user_id to_user from_user)), session_id => $ended, (map { $_ => 'tester' } qw(role to_role from_role)), parent => 'client',
            target_role => 'client', permission => 'thing:do', policy => 'auth.mail', key => 'address:192.0.2.1', email => 'nobody@example.com', purpose => 'newsletter',
            machine => 'light', issuer => 'https://idp.example.com', provider => 'idp' },
        # a code of a second factor is good for a minute
        order_first => [qw(put_machines_name post_auth_second_factors_factor_id_confirm)],
        # what ends the subjects of other operations
        order_last => [qw(put_locations_location_id_active delete_locations_location_id_staff_staff_id delete_users_user_id_roles_role delete_roles_role_parents_parent delete_roles_role
            delete_permissions_name delete_token_issuers delete_users_user_id post_users_user_id_restore post_users_user_id_erase)] };
}

1;
