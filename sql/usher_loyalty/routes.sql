-- The functions over HTTP. Access rights are decided inside the functions. The permission here is what an API key must
-- have been given.
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('GET', '/loyalty/points', 'get_points_balance(uuid)', 'loyalty:read', 200, true, 'Points that can be spent'),
        ('GET', '/loyalty/points/history', 'list_points_history(uuid,uuid,integer)', 'loyalty:read', 200, true,
         'What was earned, spent and lost'),
        ('POST', '/loyalty/points/earn', 'earn_points(uuid,bigint,text,uuid,text,timestamptz,text,text)',
         'loyalty:earn', 201, false, 'Give points'),
        ('POST', '/loyalty/points/redeem', 'redeem_points(bigint,uuid,text,uuid,text,text)', 'loyalty:redeem', 201,
         false, 'Spend points'),
        ('POST', '/loyalty/points/adjust', 'adjust_points(uuid,bigint,text,timestamptz,text)', 'loyalty:adjust', 201,
         false, 'Correct points'),
        ('POST', '/loyalty/points/{entry_id}/give-back', 'give_back_points(uuid,bigint,text,text)', 'loyalty:adjust',
         201, false, 'Reverse a spending'),
        ('GET', '/loyalty/earning-rules', 'list_earning_rules(text,timestamptz)', 'loyalty:read', 200, true,
         'Rules by which points are earned'),
        ('POST', '/loyalty/earning-rules', 'create_earning_rule(jsonb)', 'loyalty:manage', 201, false,
         'Make a rule, or its next version'),
        ('POST', '/loyalty/earning-rules/{code}/end', 'end_earning_rule(text,timestamptz)', 'loyalty:manage', 200,
         false, 'End a rule'),
        ('POST', '/loyalty/earning-rules/preview', 'preview_earning_rule(jsonb,jsonb)', 'loyalty:manage', 200, true,
         'What a purchase would earn'),
        ('GET', '/loyalty/tiers', 'list_tiers()', NULL, 200, true, 'Tiers of customers'),
        ('PUT', '/loyalty/tiers/{code}',
         'define_tier(text,integer,bigint,text,text,interval,interval,boolean)', 'loyalty:manage', 200, false,
         'Make or change a tier')
        ) AS v (method, path, signature, permission, success_status, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure,
            access => CASE WHEN r.permission IS NULL THEN 'public' ELSE 'authenticated' END,
            permission => r.permission,
            success_status => r.success_status, read_only => r.read_only, summary => r.summary, tag => 'loyalty');
    END LOOP;
END
$$;
