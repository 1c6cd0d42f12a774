# has_permission() with the row's own scope as an argument: 100 sites, in each of which the user has the role.
use access;
return {
    title  => q{has_permission('booking:read', site_id) as a policy, 1,000,000 rows of 100 sites},
    rounds => 10,
    rows   => $access::rows,
    setup  => $access::setup . q{
        INSERT INTO usher.user_roles (user_id, role_id, scope)
            SELECT m.id, r.id, s.id FROM bench.me m, bench.sites s, usher.roles r WHERE r.name = 'bench1';
        CREATE FUNCTION bench.may_at(permission text, site_id uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$
            SELECT EXISTS (SELECT FROM usher.user_roles ur JOIN usher.role_permissions rp ON rp.role_id = ur.role_id
                           WHERE ur.user_id = usher.current_user_id() AND ur.scope = may_at.site_id::text AND rp.permission = may_at.permission)
        $$;
        CREATE FUNCTION bench.my_sites() RETURNS uuid[] LANGUAGE sql STABLE SECURITY DEFINER AS $$
            SELECT array_agg(ur.scope::uuid) FROM usher.user_roles ur WHERE ur.user_id = usher.current_user_id()
        $$;
        VACUUM ANALYZE usher.users, usher.user_roles, usher.role_permissions;
    },
    variants => [
        { name => 'no row-level security', reset => access::under(undef), measure => access::count_rows() },
        { name => 'SQL function with joins', rows => $access::few, reset => access::under(q{bench.may_at('booking:read', site_id)}, 'bench.few_bookings'),
          measure => access::count_rows('bench.few_bookings') },
        { name => 'site_id IN (SELECT unnest(function()))', reset => access::under(q{site_id IN (SELECT unnest(bench.my_sites()))}), measure => access::count_rows() },
        # what PostgreSQL takes to read the column and compare it, without any look-up
        { name => 'site_id <> a constant', reset => access::under(q{site_id <> '00000000-0000-0000-0000-000000000000'}), measure => access::count_rows() },
        { name => 'has_permission()', ours => 1, reset => access::under(q{usher.has_permission('booking:read', site_id)}), measure => access::count_rows() },
    ],
    targets => [ { variant => 'has_permission()', against => 'no row-level security', ratio_at_most => 1.7 } ],
    teardown => $access::teardown,
};
