-- Core features on these tables: machines on the statuses, audit, modification times. Entries of points are a log by
-- themselves.
DO $$
DECLARE
    relation text;
BEGIN
    PERFORM usher.attach_machine('loyalty_reward', '@extschema@.loyalty_rewards'::regclass, 'status',
        '{"version_column": "version", "event_prefix": "loyalty_reward", "payload_columns": ["title",
            "cost_points"]}');
    PERFORM usher.attach_machine('loyalty_redemption', '@extschema@.reward_redemptions'::regclass, 'status',
        '{"reason_column": "reason_code", "version_column": "version", "event_prefix": "loyalty_redemption",
          "payload_columns": ["reward_id", "customer_id", "cost_points", "expires_at"]}');
    PERFORM usher.attach_machine('loyalty_offer', '@extschema@.loyalty_offers'::regclass, 'status',
        '{"version_column": "version", "event_prefix": "loyalty_offer",
          "payload_columns": ["title", "kind", "valid_from", "valid_until"]}');
    PERFORM usher.attach_machine('referral', '@extschema@.referrals'::regclass, 'status',
        '{"reason_column": "reason_code", "notes_column": "notes", "version_column": "version",
          "event_prefix": "referral", "payload_columns": ["referrer_id", "referee_id", "referrer_points",
              "referee_points"]}');
    PERFORM usher.attach_machine('loyalty_ad', '@extschema@.loyalty_ads'::regclass, 'status',
        '{"version_column": "version", "event_prefix": "loyalty_ad", "payload_columns": ["title", "placement"]}');
    FOREACH relation IN ARRAY ARRAY['earning_rules', 'loyalty_tiers', 'loyalty_segments', 'loyalty_offers',
                                    'offer_vouchers', 'loyalty_rewards', 'reward_redemptions', 'referral_programs',
                                    'referrals', 'loyalty_ads'] LOOP
        PERFORM usher.enable_audit(format('@extschema@.%I', relation)::regclass);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['points_accounts', 'loyalty_tiers', 'loyalty_segments', 'loyalty_offers',
                                    'loyalty_rewards', 'reward_redemptions', 'referral_programs', 'referrals',
                                    'loyalty_ads'] LOOP
        PERFORM usher.enable_updated_at(format('@extschema@.%I', relation)::regclass);
    END LOOP;
END
$$;
