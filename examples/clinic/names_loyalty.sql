-- Part of names.sql: rewards, offers, advertisements and referrals.

-- ---- Rewards and loyalty -------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.rewards WITH (security_barrier) AS
SELECT r.id, r.title AS name, r.description, r.kind AS reward_type, r.cost_points AS points_required,
    r.condition AS conditions, r.details AS rules, r.max_per_customer, r.stock - r.taken AS stock_left,
    r.status = 'active' AS is_active, r.valid_from, r.valid_until, r.created_at, r.updated_at
FROM club.loyalty_rewards AS r
WHERE r.status = 'active' OR clinic.sees('club.loyalty_rewards', NULL, 'loyalty:manage');
COMMENT ON VIEW clinic.rewards IS 'R2 rewards: what points are spent on, under which conditions.';

CREATE OR REPLACE FUNCTION clinic.write_rewards() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    changes jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM club.set_reward_status(OLD.id, 'retired');
        RETURN OLD;
    END IF;
    changes := jsonb_strip_nulls(jsonb_build_object('title', NEW.name, 'description', NEW.description,
        'kind', NEW.reward_type, 'cost_points', NEW.points_required, 'condition', NEW.conditions,
        'details', NEW.rules, 'max_per_customer', NEW.max_per_customer, 'valid_from', NEW.valid_from,
        'valid_until', NEW.valid_until));
    IF TG_OP = 'INSERT' THEN
        SELECT r.reward_id INTO NEW.id FROM club.create_reward(changes) AS r;
    ELSE
        -- only what was changed: what somebody has taken does not change its terms
        SELECT coalesce(jsonb_object_agg(c.key, c.value), '{}') INTO changes FROM jsonb_each(changes) AS c
        WHERE c.value <> ALL (SELECT o.value FROM jsonb_each(jsonb_build_object('title', OLD.name,
            'description', OLD.description, 'kind', OLD.reward_type, 'cost_points', OLD.points_required,
            'condition', OLD.conditions, 'details', OLD.rules, 'max_per_customer', OLD.max_per_customer,
            'valid_from', OLD.valid_from, 'valid_until', OLD.valid_until)) AS o WHERE o.key = c.key);
        IF changes <> '{}' THEN
            PERFORM club.update_reward(NEW.id, changes);
        END IF;
    END IF;
    IF NEW.is_active IS DISTINCT FROM (TG_OP = 'UPDATE' AND OLD.is_active) AND NEW.is_active IS NOT NULL THEN
        PERFORM club.set_reward_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'paused' END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_rewards() IS 'create_reward(), update_reward(), set_reward_status().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.rewards
    FOR EACH ROW EXECUTE FUNCTION clinic.write_rewards();

CREATE OR REPLACE VIEW clinic.offers WITH (security_barrier) AS
SELECT o.id, o.title, o.description, o.kind AS offer_type, o.percent AS discount_percent,
    CASE WHEN o.currency IS NOT NULL THEN till.format_amount(o.amount_minor, o.currency)::numeric END
        AS discount_amount, o.currency, o.tiers AS target_tiers,
    o.segment AS target_segment, o.first_visit AS for_new_customers, o.max_uses, o.max_per_customer, o.uses,
    o.status = 'active' AS is_active, o.valid_from, o.valid_until, o.created_at, o.updated_at
FROM club.loyalty_offers AS o
WHERE o.status = 'active' OR clinic.sees('club.loyalty_offers', NULL, 'loyalty:read');
COMMENT ON VIEW clinic.offers IS
    'R2 offers: discounts for a time, and for whom (target_tiers, target_segment, new ones).';

CREATE OR REPLACE FUNCTION clinic.write_offers() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM club.set_offer_status(OLD.id, 'archived');
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT o.offer_id INTO NEW.id FROM club.create_offer(jsonb_strip_nulls(jsonb_build_object(
            'title', NEW.title, 'description', NEW.description, 'kind', NEW.offer_type,
            'percent', NEW.discount_percent, 'amount_minor', CASE WHEN NEW.discount_amount IS NOT NULL THEN
                till.to_minor_units(NEW.discount_amount::text, NEW.currency) END,
            'currency', NEW.currency, 'tiers', NEW.target_tiers, 'segment', NEW.target_segment,
            'first_visit', NEW.for_new_customers, 'max_uses', NEW.max_uses,
            'max_per_customer', NEW.max_per_customer, 'valid_from', NEW.valid_from,
            'valid_until', NEW.valid_until))) AS o;
    ELSE
        PERFORM club.update_offer(NEW.id, jsonb_build_object('title', NEW.title, 'description', NEW.description,
                                                             'valid_until', NEW.valid_until));
    END IF;
    IF NEW.is_active IS DISTINCT FROM (TG_OP = 'UPDATE' AND OLD.is_active) AND NEW.is_active IS NOT NULL THEN
        PERFORM club.set_offer_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'paused' END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_offers() IS 'create_offer(), update_offer(), set_offer_status().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.offers
    FOR EACH ROW EXECUTE FUNCTION clinic.write_offers();

CREATE OR REPLACE VIEW clinic.advertisements WITH (security_barrier) AS
SELECT a.id, a.title, a.content, a.placement, a.tiers AS target_tiers, a.segment AS target_segment, a.offer_id,
    coalesce(n.views, 0) AS views, coalesce(n.clicks, 0) AS clicks, a.status = 'active' AS is_active, a.valid_from,
    a.valid_until, a.created_at, a.updated_at
FROM club.loyalty_ads AS a
    LEFT JOIN (SELECT c.ad_id, sum(c.count) FILTER (WHERE c.kind = 'view')::bigint AS views,
                   sum(c.count) FILTER (WHERE c.kind = 'click')::bigint AS clicks
               FROM club.loyalty_ad_counts AS c GROUP BY c.ad_id) AS n ON n.ad_id = a.id
WHERE a.status = 'active' AND a.tiers IS NULL AND a.segment IS NULL
    OR clinic.sees('club.loyalty_ads', NULL, 'loyalty:read');
COMMENT ON VIEW clinic.advertisements IS
    'R2 advertisements: what is shown where, and how often it was seen and clicked. Writing views or clicks counts '
    'one. Those for some customers only are shown by club.list_current_advertisements().';

CREATE OR REPLACE FUNCTION clinic.write_advertisements() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM club.set_advertisement_status(OLD.id, 'archived');
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT a.ad_id INTO NEW.id FROM club.create_advertisement(jsonb_strip_nulls(jsonb_build_object(
            'title', NEW.title, 'placement', NEW.placement, 'content', NEW.content, 'tiers', NEW.target_tiers,
            'segment', NEW.target_segment, 'offer_id', NEW.offer_id, 'valid_from', NEW.valid_from,
            'valid_until', NEW.valid_until))) AS a;
    ELSIF NEW.views > OLD.views THEN
        PERFORM club.record_advertisement_event(NEW.id, 'view');
    ELSIF NEW.clicks > OLD.clicks THEN
        PERFORM club.record_advertisement_event(NEW.id, 'click');
    END IF;
    IF NEW.is_active IS DISTINCT FROM (TG_OP = 'UPDATE' AND OLD.is_active) AND NEW.is_active IS NOT NULL THEN
        PERFORM club.set_advertisement_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'paused' END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_advertisements() IS
    'create_advertisement(), set_advertisement_status(), record_advertisement_event().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.advertisements
    FOR EACH ROW EXECUTE FUNCTION clinic.write_advertisements();

CREATE OR REPLACE VIEW clinic.referrals WITH (security_barrier) AS
SELECT r.id, r.referrer_id, r.referee_id AS referred_id, NULL::text AS referral_code, r.status,
    r.referrer_points, r.referee_points AS referred_points, r.expires_at, r.created_at, r.updated_at
FROM club.referrals AS r
WHERE clinic.sees('club.referrals', r.referrer_id, 'loyalty:read')
    OR clinic.sees('club.referrals', r.referee_id, 'loyalty:read');
COMMENT ON VIEW clinic.referrals IS
    'R2 referrals: which customer has brought which, and the points for both. A referral_code is written, never '
    'read: whoever comes inserts the code that they were told.';

CREATE OR REPLACE FUNCTION clinic.write_referrals() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT r.referral_id, r.status INTO NEW.id, NEW.status
        FROM club.create_referral(NEW.referral_code, NEW.referred_id, NEW.referrer_id) AS r;
        NEW.referral_code := NULL;
        RETURN NEW;
    END IF;
    CASE NEW.status
        WHEN 'qualified' THEN PERFORM club.qualify_referral(NEW.id);
        WHEN 'rewarded' THEN PERFORM club.reward_referral(NEW.id);
        WHEN 'rejected' THEN PERFORM club.reject_referral(NEW.id, 'by_hand');
        ELSE PERFORM usher.raise_error('illegal_transition', format('nobody makes a referral %s', NEW.status));
    END CASE;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_referrals() IS
    'create_referral(), qualify_referral(), reward_referral(), reject_referral().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE ON clinic.referrals
    FOR EACH ROW EXECUTE FUNCTION clinic.write_referrals();
CREATE OR REPLACE TRIGGER refused INSTEAD OF DELETE ON clinic.referrals
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Who has brought whom stays on record: status rejected.');
