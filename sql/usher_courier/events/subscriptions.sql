-- For what a message is made, and to whom. Events of features that are not installed never come.
INSERT INTO @extschema@.message_rules (event, audience, user_keys, customer_keys, address_key, secret_keys, supersedes,
                                       expires_key, max_age, digest_window, priority)
SELECT v.event, v.audience, v.user_keys::text[],
       CASE WHEN v.event LIKE 'user.%' THEN '{}' ELSE '{customer_id}' END::text[], v.address_key,
       v.secret_keys::text[], v.supersedes::text[], v.expires_key, v.max_age::interval, v.digest_window::interval,
       v.priority
FROM (VALUES
    -- what somebody waits for, in front of a screen
    ('user.email_verification_requested', 'user', '{user_id}', 'email', '{token}',
     '{user.email_verification_requested}', 'expires_at', '7 days', '0', 0),
    ('user.password_reset_requested', 'user', '{user_id}', 'email', '{token}', '{user.password_reset_requested}',
     'expires_at', '7 days', '0', 0),
    ('user.email_change_requested', 'user', '{user_id}', 'email', '{token}', '{user.email_change_requested}',
     'expires_at', '7 days', '0', 0),
    ('user.login_code_requested', 'user', '{user_id}', 'email', '{code}', '{user.login_code_requested}',
     'expires_at', '1 day', '0', 0),
    ('user.verification_code_requested', 'user', '{user_id}', 'email', '{code}', '{user.verification_code_requested}',
     'expires_at', '1 day', '0', 0),
    -- what they should know at once, if it was not them: to the address of the account
    ('user.email_change_requested', 'account', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '1 hour', 1),
    ('user.email_changed', 'user', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '0', 1),
    ('user.email_changed', 'former_address', '{user_id}', 'former_email', '{}', '{}', NULL, '2 days', '0', 1),
    ('user.registration_repeated', 'user', '{user_id}', NULL, '{}', '{}', NULL, '1 day', '1 day', 1),
    ('user.password_changed', 'user', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '0', 1),
    ('user.new_device', 'user', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '15 minutes', 1),
    ('user.locked', 'user', '{user_id}', NULL, '{}', '{}', NULL, '1 day', '1 hour', 1),
    ('user.second_factor_added', 'user', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '0', 1),
    ('user.second_factor_removed', 'user', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '0', 1),
    ('user.second_factors_reset', 'user', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '0', 1),
    ('user.api_key_created', 'user', '{user_id}', NULL, '{}', '{}', NULL, '2 days', '15 minutes', 1),
    -- what they have booked, bought and earned, with an account or without
    ('booking.created', 'user', '{customer_user_id}', NULL, '{}', '{}', 'start_at', '2 days', '0', 5),
    ('booking.confirmed', 'user', '{customer_user_id}', NULL, '{}', '{booking.created}', 'start_at', '2 days', '0', 5),
    ('booking.rescheduled', 'user', '{customer_user_id}', NULL, '{}',
     '{booking.created,booking.confirmed,booking.rescheduled,booking.reminder}', 'start_at', '2 days', '0', 5),
    ('booking.cancelled', 'user', '{customer_user_id}', NULL, '{}',
     '{booking.created,booking.confirmed,booking.rescheduled,booking.reminder}', NULL, '2 days', '0', 5),
    ('booking.reminder', 'user', '{customer_user_id}', NULL, '{}', '{}', 'start_at', '1 day', '0', 5),
    ('payment.completed', 'user', '{user_id}', NULL, '{}', '{}', NULL, '7 days', '0', 5),
    ('payment.partially_refunded', 'user', '{user_id}', NULL, '{}', '{}', NULL, '7 days', '0', 5),
    ('payment.refunded', 'user', '{user_id}', NULL, '{}', '{}', NULL, '7 days', '0', 5),
    ('order.placed', 'user', '{user_id}', NULL, '{}', '{}', NULL, '7 days', '0', 5),
    ('order.cancelled', 'user', '{user_id}', NULL, '{}', '{order.placed}', NULL, '7 days', '0', 5),
    ('loyalty.points_expiring', 'user', '{user_id}', NULL, '{}', '{}', 'expires_at', '7 days', '1 day', 7))
    AS v (event, audience, user_keys, address_key, secret_keys, supersedes, expires_key, max_age, digest_window,
          priority);

-- Tokens and codes that are good still go to whoever has asked for them before there was a courier. What has happened
-- before is no news.
SELECT @extschema@._follow_event(r.event, CASE WHEN bool_or(r.secret_keys <> '{}') THEN '-infinity'::timestamptz END)
FROM @extschema@.message_rules AS r GROUP BY r.event ORDER BY r.event;
