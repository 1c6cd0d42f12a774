# current_user_id() in a predicate, as people write it, and wrapped into (SELECT …), as people are told to write it.
use access;
return {
    title  => 'owner_id = current_user_id() as a policy, 1,000,000 rows, a tenth of them mine',
    rounds => 10,
    rows   => $access::rows,
    setup  => $access::setup,
    variants => [
        { name => '(SELECT current_user_id())', reset => access::under('owner_id = (SELECT usher.current_user_id())'), measure => access::count_rows() },
        { name => 'current_user_id()', ours => 1, reset => access::under('owner_id = usher.current_user_id()'), measure => access::count_rows() },
    ],
    targets => [ { variant => 'current_user_id()', against => '(SELECT current_user_id())', ratio_at_most => 1.3 } ],
    teardown => $access::teardown,
};
