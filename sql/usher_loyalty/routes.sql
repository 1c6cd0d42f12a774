-- The functions over HTTP. Access rights are decided inside the functions. The permission here is what an API key must
-- have been given.

-- Codes that one identity may try; the DBA may define them anew.
SELECT usher.define_rate_limit('loyalty.codes', 'fixed_window', 20, '10 minutes', block_for => '15 minutes');
SELECT usher.define_rate_limit('loyalty.staff_codes', 'fixed_window', 600, '10 minutes', block_for => '15 minutes');

-- Of one address.
SELECT usher.define_rate_limit('loyalty.advertisement', 'token_bucket', 600, '1 minute');

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
         'Make or change a tier'),
        ('PUT', '/loyalty/customers/{customer_id}/attributes', 'set_customer_attributes(uuid,jsonb)', 'loyalty:manage',
         200, false, 'What conditions know of a customer'),
        ('PUT', '/loyalty/segments/{code}', 'define_segment(text,text,text)', 'loyalty:manage', 200, false,
         'Make or change a segment'),
        ('GET', '/loyalty/offers', 'list_offers_for(uuid,timestamptz,jsonb)', 'loyalty:read', 200, true,
         'Offers for a customer'),
        ('POST', '/loyalty/offers', 'create_offer(jsonb)', 'loyalty:manage', 201, false, 'Make an offer'),
        ('PATCH', '/loyalty/offers/{offer_id}', 'update_offer(uuid,jsonb,integer)', 'loyalty:manage', 200, false,
         'Change an offer'),
        ('POST', '/loyalty/offers/{offer_id}/status', 'set_offer_status(uuid,text,integer)', 'loyalty:manage', 200, false,
         'Schedule, activate, pause, expire or archive an offer'),
        ('POST', '/loyalty/offers/{offer_id}/explain', 'explain_offer(uuid,uuid,timestamptz,jsonb)', 'loyalty:read', 200,
         true, 'Whether an offer applies, and why not'),
        ('POST', '/loyalty/offers/{offer_id}/vouchers',
         'create_vouchers(uuid,integer,integer,text,timestamptz,uuid,text)', 'loyalty:manage', 201, false,
         'Make vouchers, whose codes are shown once'),
        ('POST', '/loyalty/offers/{offer_id}/vouchers/revoke', 'revoke_vouchers(uuid,text,uuid)', 'loyalty:manage', 200,
         false, 'End vouchers'),
        ('POST', '/loyalty/offer-uses', 'redeem_offer(text,uuid,uuid,uuid,bigint,jsonb,text,text)', 'loyalty:redeem', 200,
         false, 'Use an offer or a voucher'),
        ('POST', '/loyalty/offer-uses/release', 'release_offers(text,uuid)', 'loyalty:adjust', 200, false,
         'Give the offers of a reference back'),
        ('GET', '/loyalty/rewards', 'list_rewards(boolean,uuid,integer)', NULL, 200, true, 'What points can be spent on'),
        ('POST', '/loyalty/rewards', 'create_reward(jsonb)', 'loyalty:manage', 201, false, 'Make a reward'),
        ('PATCH', '/loyalty/rewards/{reward_id}', 'update_reward(uuid,jsonb,integer)', 'loyalty:manage', 200, false,
         'Change a reward'),
        ('POST', '/loyalty/rewards/{reward_id}/status', 'set_reward_status(uuid,text,integer)', 'loyalty:manage', 200,
         false, 'Activate, pause or retire a reward'),
        ('POST', '/loyalty/rewards/{reward_id}/redeem', 'redeem_reward(uuid,uuid,text)', 'loyalty:redeem', 201, false,
         'Take a reward'),
        ('GET', '/loyalty/redemptions', 'list_redemptions(uuid,uuid,integer)', 'loyalty:read', 200, true,
         'Rewards that were taken'),
        ('POST', '/loyalty/redemptions/redeem', 'redeem_reward_code(text)', 'loyalty:redeem', 200, false,
         'Hand a reward out for its code'),
        ('POST', '/loyalty/redemptions/{redemption_id}/code', 'renew_reward_code(uuid)', 'loyalty:redeem', 200, false,
         'Another code for a reserved reward'),
        ('POST', '/loyalty/redemptions/{redemption_id}/reverse', 'reverse_redemption(uuid,text)', 'loyalty:redeem', 200,
         false, 'Give a reward back'),
        ('PUT', '/loyalty/referral-program',
         'define_referral_program(bigint,bigint,text[],bigint,interval,boolean,text)', 'loyalty:manage', 200, false,
         'What a referral is worth'),
        ('GET', '/loyalty/referral-code', 'get_referral_code(uuid)', 'loyalty:read', 200, false, 'The code of a customer'),
        ('GET', '/loyalty/referrals', 'list_referrals(uuid,text,boolean,uuid,integer)', 'loyalty:read', 200, true,
         'Who has brought whom'),
        ('POST', '/loyalty/referrals', 'create_referral(text,uuid,uuid,text,jsonb)', 'loyalty:earn', 201, false,
         'Say who has brought one along'),
        ('POST', '/loyalty/referrals/{referral_id}/qualify', 'qualify_referral(uuid,jsonb)', 'loyalty:earn', 200, false,
         'The newcomer has done what is asked'),
        ('POST', '/loyalty/referrals/{referral_id}/reward', 'reward_referral(uuid)', 'loyalty:earn', 200, false,
         'Give both their points'),
        ('POST', '/loyalty/referrals/{referral_id}/reject', 'reject_referral(uuid,text,text,jsonb)', 'loyalty:earn', 200,
         false, 'Refuse a referral'),
        ('POST', '/loyalty/signals', 'note_customer_signal(uuid,text,text)', 'loyalty:earn', 200, false,
         'What customers may have in common'),
        ('GET', '/loyalty/advertisements', 'list_current_advertisements(text,uuid,timestamptz,integer)', NULL, 200, false,
         'What to show now'),
        ('POST', '/loyalty/advertisements', 'create_advertisement(jsonb)', 'loyalty:manage', 201, false,
         'Make an advertisement'),
        ('GET', '/loyalty/advertisements/report', 'report_advertisements(date,date,uuid)', 'loyalty:read', 200, false,
         'Views and clicks'),
        ('POST', '/loyalty/advertisements/{ad_id}/status', 'set_advertisement_status(uuid,text,integer)',
         'loyalty:manage', 200, false, 'Activate, pause or archive an advertisement'),
        ('POST', '/loyalty/advertisements/{ad_id}/events', 'record_advertisement_event(uuid,text)', NULL, 200, false,
         'Count a view or a click')
        ) AS v (method, path, signature, permission, success_status, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure,
            access => CASE WHEN r.permission IS NULL THEN 'public' ELSE 'authenticated' END,
            permission => r.permission,
            success_status => r.success_status, read_only => r.read_only, summary => r.summary, tag => 'loyalty',
            rate_limit => CASE WHEN r.path = '/loyalty/advertisements/{ad_id}/events' THEN 'loyalty.advertisement' END);
    END LOOP;
END
$$;
