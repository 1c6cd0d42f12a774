CREATE TRIGGER derive_keys AFTER INSERT OR UPDATE ON @extschema@.loyalty_offers
    FOR EACH ROW EXECUTE FUNCTION @extschema@._derive_offer_keys();
ALTER TABLE @extschema@.loyalty_offers ENABLE ALWAYS TRIGGER derive_keys;
CREATE TRIGGER keep_counter BEFORE UPDATE ON @extschema@.loyalty_offers
    FOR EACH ROW WHEN (OLD.uses <> NEW.uses) EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_new_counter BEFORE INSERT ON @extschema@.loyalty_offers
    FOR EACH ROW WHEN (NEW.uses <> 0) EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_counter BEFORE UPDATE ON @extschema@.offer_vouchers
    FOR EACH ROW WHEN (OLD.uses <> NEW.uses OR OLD.offer_id <> NEW.offer_id)
    EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_new_counter BEFORE INSERT ON @extschema@.offer_vouchers
    FOR EACH ROW WHEN (NEW.uses <> 0) EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON @extschema@.offer_uses
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('fact', 'is_released', 'released_at');
CREATE TRIGGER keep_released BEFORE UPDATE ON @extschema@.offer_uses
    FOR EACH ROW WHEN (OLD.is_released) EXECUTE FUNCTION @extschema@._keep_rows('fact');
CREATE TRIGGER keep_table BEFORE TRUNCATE ON @extschema@.offer_uses
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._keep_rows('fact');
CREATE TRIGGER number_use BEFORE INSERT ON @extschema@.offer_uses
    FOR EACH ROW EXECUTE FUNCTION @extschema@._number_use();
CREATE TRIGGER count_use AFTER INSERT OR UPDATE ON @extschema@.offer_uses
    FOR EACH ROW EXECUTE FUNCTION @extschema@._count_use();
CREATE TRIGGER check_redemption BEFORE INSERT OR UPDATE ON @extschema@.reward_redemptions
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_redemption();
CREATE TRIGGER follow_redemption AFTER UPDATE ON @extschema@.reward_redemptions
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_redemption();
CREATE TRIGGER keep_rows BEFORE DELETE ON @extschema@.reward_redemptions
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('fact');
CREATE TRIGGER keep_table BEFORE TRUNCATE ON @extschema@.reward_redemptions
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._keep_rows('fact');
CREATE TRIGGER freeze_reward BEFORE INSERT OR UPDATE ON @extschema@.loyalty_rewards
    FOR EACH ROW EXECUTE FUNCTION @extschema@._freeze_reward();
CREATE TRIGGER keep_counter BEFORE UPDATE ON @extschema@.loyalty_rewards
    FOR EACH ROW WHEN (OLD.taken <> NEW.taken) EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_new_counter BEFORE INSERT ON @extschema@.loyalty_rewards
    FOR EACH ROW WHEN (NEW.taken <> 0) EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER check_segment BEFORE INSERT OR UPDATE ON @extschema@.loyalty_segments
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_segment();
-- What is switched off is kept, with the time, and can come back (docs/engine.md, "Deactivation").
SELECT usher.enable_soft_delete('@extschema@.loyalty_tiers', 'allow', 'loyalty_tier'),
       usher.enable_soft_delete('@extschema@.referral_programs', 'allow', 'referral_program'),
       usher.enable_soft_delete('@extschema@.offer_vouchers', 'allow'); -- thousands at a time: no events
