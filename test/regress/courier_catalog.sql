-- Every event that the extensions publish either makes a message, or stands here with the reason why it makes none; and whatever makes a
-- message can say it, in English and in German, with no more than its event tells.
\pset format unaligned
CREATE TEMP TABLE silent (events text, reason text);
INSERT INTO silent VALUES
    ('user.registered', 'the message that asks to confirm the address greets them'),
    ('user.email_verified user.claimed', 'they have done it this moment, and see it'),
    ('user.deactivated user.deleted user.erased', 'nothing is written to who is not there'),
    ('user.reactivated user.restored user.role_changed', 'the business of administrators, who can say why'),
    ('user.tier_changed loyalty.tier_changed', 'an application makes more of it than a line'),
    ('consent.withdrawn', 'they have done it this moment, and see it'),
    ('customer.erased booking.customer_gone', 'nothing is written to who is not there'),
    ('booking.started booking.completed', 'they are there'),
    ('booking.needs_staff booking.orphaned booking.refund_proposed', 'for the staff'),
    ('booking.total_changed', 'for whoever asks for the money'),
    ('appointment.scheduled appointment.arrived appointment.started appointment.completed appointment.no_show appointment.cancelled appointment.rescheduled',
        'parts of a booking, of which they are told'),
    ('payment.created payment.processing payment.retried payment.attempt_requested payment.settling payment.outcome_unknown', 'steps on the way'),
    ('payment.failed payment.cancelled', 'the page on which they pay says so'),
    ('payment.late_success payment.mismatch payment.duplicate_charge payment.disputed payment.dispute_closed', 'for the accounts department'),
    ('refund.requested refund.processing refund.succeeded refund.failed refund.cancelled refund.contradicted',
        'of what they get back payment.refunded and payment.partially_refunded tell'),
    ('product.created product.activated product.archived stock.low stock.out stock.short', 'for the staff'),
    ('order.placing order.abandoned', 'of a cart, not of an order'),
    ('order.paid order.fulfilled order.completed order.recalled order.returned order.total_changed', 'what is sent, and how, the application knows'),
    ('order.refund_proposed', 'for the staff'),
    ('loyalty.points_earned loyalty.points_spent loyalty.points_given_back loyalty.points_taken_back loyalty.points_restored loyalty.points_expired loyalty.points_adjusted',
        'a purchase says so already, and the account shows it'),
    ('loyalty.redeeming loyalty.discount_granted loyalty.offer_used loyalty.offer_released', 'steps of a purchase'),
    ('loyalty_offer.scheduled loyalty_offer.activated loyalty_offer.paused loyalty_offer.expired loyalty_offer.archived loyalty_ad.activated loyalty_ad.paused loyalty_ad.archived loyalty_reward.activated loyalty_reward.paused loyalty_reward.retired',
        'of no one customer'),
    ('loyalty_redemption.reserved loyalty_redemption.redeemed loyalty_redemption.reversed loyalty_redemption.expired', 'they are at the counter'),
    ('referral.created referral.qualified referral.rewarded referral.rejected referral.expired', 'says who has bought: an application decides'),
    ('role.deactivated role.restored location.deactivated location.restored service.deactivated service.restored location_staff.deactivated location_staff.restored loyalty_tier.deactivated loyalty_tier.restored referral_program.deactivated referral_program.restored',
        'of no one customer'),
    ('customer.deactivated customer.restored payment_method.deactivated payment_method.restored', 'the business of administrators, who can say why'),
    ('webhook.disabled http_request.failed', 'for whoever runs the application'),
    ('message.failed message.bounced', 'of messages that did not arrive none are sent');
CREATE TEMP TABLE told AS SELECT e.event FROM usher.extension_events AS e WHERE e.registrant LIKE 'usher%';
SELECT t.event AS "neither has a template nor a reason" FROM told AS t
WHERE NOT EXISTS (SELECT FROM wash.message_rules AS r WHERE r.event = t.event)
    AND NOT EXISTS (SELECT FROM silent AS s WHERE t.event = ANY (string_to_array(s.events, ' ')));
SELECT e AS "has a reason without need" FROM silent AS s, string_to_table(s.events, ' ') AS e
WHERE NOT EXISTS (SELECT FROM told AS t WHERE t.event = e) OR EXISTS (SELECT FROM wash.message_rules AS r WHERE r.event = e);
SELECT r.event, r.audience, v.language AS "no template" FROM wash.message_rules AS r CROSS JOIN (VALUES ('en'), ('de')) AS v (language)
WHERE r.extension = 'usher_courier' AND NOT EXISTS (
    SELECT FROM wash.message_templates AS t WHERE t.event = r.event AND t.audience = r.audience AND t.language = v.language AND t.body_html IS NOT NULL);
SELECT r.event AS "a rule about what nobody publishes" FROM wash.message_rules AS r
WHERE NOT EXISTS (SELECT FROM told AS t WHERE t.event = r.event) OR EXISTS (SELECT FROM unnest(r.supersedes) AS e WHERE e NOT IN (SELECT t.event FROM told AS t));
SELECT r.event AS "a rule without a subscription" FROM wash.message_rules AS r
WHERE NOT EXISTS (SELECT FROM usher.subscriptions AS s WHERE s.event = r.event AND s.consumer = 'usher_courier' AND s.is_active);
-- What stands in a template in English stands in it in German too, in whatever order.
WITH names AS (
    SELECT t.event, t.audience, t.language, array_agg(DISTINCT m[1] ORDER BY m[1]) AS used
    FROM wash.message_templates AS t, regexp_matches(t.subject || t.body_text || t.body_html, '\{\{[#^/]?([a-z_.|:]+)\}\}', 'g') AS m
    GROUP BY t.event, t.audience, t.language)
SELECT a.event AS "says something else in German" FROM names AS a JOIN names AS b USING (event, audience)
WHERE a.language = 'en' AND b.language = 'de' AND a.used <> b.used;
-- All names, so that a new one is looked at: is it in the payload of the event?
SELECT DISTINCT m[1] AS name FROM wash.message_templates AS t, regexp_matches(t.subject || t.body_text || t.body_html, '\{\{[#^/]?([a-z_.|:]+)\}\}', 'g') AS m
ORDER BY 1;
-- What the first version was to say, word by word: each has its event, its recipient, and its text in both languages.
WITH wanted (word, event, audience) AS (VALUES
    ('verification', 'user.email_verification_requested', 'user'), ('verification', 'user.verification_code_requested', 'user'),
    ('reset', 'user.password_reset_requested', 'user'),
    ('change of address, to the new one', 'user.email_change_requested', 'user'), ('change of address, to the old one', 'user.email_change_requested', 'account'),
    ('changed address, to the new one', 'user.email_changed', 'user'), ('changed address, to the old one', 'user.email_changed', 'former_address'),
    ('code', 'user.login_code_requested', 'user'), ('new device', 'user.new_device', 'user'), ('locked', 'user.locked', 'user'),
    ('factor added', 'user.second_factor_added', 'user'), ('factor removed', 'user.second_factor_removed', 'user'), ('API key made', 'user.api_key_created', 'user'),
    ('booking made', 'booking.created', 'user'), ('confirmed', 'booking.confirmed', 'user'), ('moved', 'booking.rescheduled', 'user'),
    ('cancelled', 'booking.cancelled', 'user'), ('reminder before the start', 'booking.reminder', 'user'),
    ('payment', 'payment.completed', 'user'), ('refund', 'payment.refunded', 'user'), ('refund', 'payment.partially_refunded', 'user'),
    ('order', 'order.placed', 'user'), ('points expiring', 'loyalty.points_expiring', 'user'))
SELECT w.word, count(DISTINCT (w.event, w.audience)) AS rules, array_agg(DISTINCT t.language ORDER BY t.language) AS languages,
    bool_and(t.subject <> '' AND t.body_html IS NOT NULL) AS whole, bool_and(s.is_active) AS followed
FROM wanted AS w JOIN wash.message_rules AS r ON (r.event, r.audience) = (w.event, w.audience) AND r.is_active AND r.extension = 'usher_courier'
    LEFT JOIN wash.message_templates AS t ON (t.event, t.audience) = (w.event, w.audience) AND t.is_active AND t.extension = 'usher_courier'
    LEFT JOIN usher.subscriptions AS s ON s.event = w.event AND s.consumer = 'usher_courier'
GROUP BY w.word ORDER BY w.word COLLATE "C";
-- What a template names is told by some event that was published for real, not only by tests of templates: of those that have happened here.
WITH names AS (
    SELECT DISTINCT t.event, m[1] AS name FROM wash.message_templates AS t
        CROSS JOIN LATERAL regexp_matches(t.subject || t.body_text, '\{\{[#^]?([a-z_]+)', 'g') AS m
    WHERE t.extension = 'usher_courier'
    EXCEPT SELECT r.event, k FROM wash.message_rules AS r, unnest(r.secret_keys || '{app_name,app_url,user,time_zone,repeats,is_repeated}'::text[]) AS k)
SELECT n.event, n.name AS "nobody tells" FROM names AS n JOIN usher.events AS e ON e.event = n.event AND e.publisher IS NOT NULL
GROUP BY n.event, n.name HAVING NOT bool_or(e.payload ? n.name OR e.payload #> '{lines,0}' ? n.name)
ORDER BY 1, 2;
