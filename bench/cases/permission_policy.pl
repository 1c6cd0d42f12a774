# has_permission() with constant arguments as a row-level security policy: a scan of a million rows that all pass.
use access;
return {
    title  => q{has_permission('booking:read') as a policy, 1,000,000 rows},
    rounds => 10,
    rows   => $access::rows,
    setup  => $access::setup . q{
        INSERT INTO usher.user_roles (user_id, role_id)
            SELECT u.id, r.id FROM (SELECT id, row_number() OVER () AS n FROM usher.users WHERE email LIKE '%@bench.test') u
            JOIN (SELECT id, row_number() OVER () - 1 AS n FROM usher.roles WHERE name LIKE 'bench%') r ON r.n IN (u.n % 20, (u.n * 7 + 3) % 20);
        -- what many applications have: the tables joined for every row
        CREATE FUNCTION bench.may(permission text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$
            SELECT EXISTS (SELECT FROM usher.user_roles ur JOIN usher.role_permissions rp ON rp.role_id = ur.role_id
                           WHERE ur.user_id = usher.current_user_id() AND rp.permission = may.permission)
        $$;
        VACUUM ANALYZE usher.users, usher.user_roles, usher.role_permissions;
    },
    variants => [
        { name => 'no row-level security', reset => access::under(undef), measure => access::count_rows() },
        { name => 'SQL function with joins', rows => $access::few, reset => access::under(q{bench.may('booking:read')}, 'bench.few_bookings'),
          measure => access::count_rows('bench.few_bookings') },
        { name => '(SELECT has_permission())', reset => access::under(q{(SELECT usher.has_permission('booking:read'))}), measure => access::count_rows() },
        { name => 'has_permission()', ours => 1, reset => access::under(q{usher.has_permission('booking:read')}), measure => access::count_rows() },
    ],
    targets => [
        { variant => 'has_permission()', against => 'no row-level security', ratio_at_most => 1.3 },
        { variant => 'has_permission()', against => 'SQL function with joins', times_faster => 100 },
        { variant => 'has_permission()', against => '(SELECT has_permission())', ratio_at_most => 1.1 },
    ],
    teardown => $access::teardown,
};
