-- What is called twice because the first answer was lost has its effect once. Every function of a feature that
-- changes something takes an expected_version or an idempotency_key, or stands in the list below with the reason why a
-- repetition does no harm. And whoever asks with a key that was used is answered before anything is judged that may have
-- changed since. Functions come from the catalog, so that one that is made later is asked as well.
SET client_min_messages = warning;
CREATE SCHEMA regress_repeats;
CREATE TABLE regress_repeats.functions AS
    SELECT p.oid, p.proname AS name, p.provolatile = 'v' AND p.proname NOT LIKE '\_%' AS changes, p.prosrc AS source,
           coalesce(p.proargnames && '{expected_version,expected_version_a,idempotency_key}', false) AS is_guarded
    FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
    WHERE e.extname ~ '^usher_(booking|payment|shop|loyalty)$' AND p.prorettype <> 'trigger'::regtype;

CREATE TABLE regress_repeats.harmless (name name PRIMARY KEY, reason text NOT NULL);
INSERT INTO regress_repeats.harmless
SELECT r.name, g.reason
FROM (VALUES
    ('reads; or takes back what it does',
     '{get_referral_code,list_current_advertisements,preview_order,report_advertisements,verify_webhook}'),
    ('writes what is to be, or answers what is there already: the same again is the same',
     '{assign_staff,unassign_staff,import_location_hours,set_location_exception,set_location_hours,
       set_location_services,set_staff_hours,set_staff_skills,add_staff_time_off,remove_staff_time_off,
       define_referral_program,define_segment,define_tier,end_earning_rule,create_referral,note_customer_signal,
       restore_vouchers,revoke_vouchers,set_customer_attributes,record_payment_fee,remove_payment_method,
       retire_webhook_secret,save_payment_method,reverse_journal,discount_order_line,record_count,
       remove_future_price,set_service_materials,set_stock_limits}'),
    ('a row of the price list that says the same as the one before it', '{set_price,set_tax_rate}'),
    ('ends what is open, once: nothing is open any more, or it is refused',
     '{cancel_user_bookings,expire_holds,expire_reservations,release_offers,qualify_referral,reject_referral,
       reward_referral,redeem_reward_code,reverse_redemption,cancel_refund,cancel_stock_count,finish_stock_count}'),
    ('what comes from outside is known by an id of its own, or by the attempt or refund that it is about',
     '{ingest_webhook,receive_webhook,record_payment_result,record_refund_result,complete_payment_work,
       fail_payment_work}'),
    ('work is handed out for a while, and again when nobody has reported it', '{claim_payment_work}'),
    ('made with an id or a name of the caller''s choice, which is there once',
     '{create_location,create_service,create_product,upsert_customer}'),
    ('one at a time: refused while another is open there', '{start_stock_count}'),
    ('a draft, which nobody is offered before somebody sets its status',
     '{create_advertisement,create_offer,create_reward}'),
    ('the next version of the rule with this code, which ends the one before it', '{create_earning_rule}'),
    ('codes are shown once and not kept: of the last call they are the ones that count; a batch whose answer was lost '
     'is revoked by its name', '{create_vouchers,renew_reward_code}'),
    ('both secrets verify the same', '{add_webhook_secret}'),
    ('views and clicks are counted as they are told', '{record_advertisement_event}')) AS g (reason, names)
    CROSS JOIN LATERAL unnest(g.names::name[]) AS r (name);

-- Without a key, a version or a reason
SELECT DISTINCT f.name AS repeats FROM regress_repeats.functions f
WHERE f.changes AND NOT f.is_guarded AND f.name NOT IN (SELECT h.name FROM regress_repeats.harmless h) ORDER BY 1;
-- A reason that nothing needs any more
SELECT h.name AS not_needed FROM regress_repeats.harmless h
WHERE h.name NOT IN (SELECT f.name FROM regress_repeats.functions f WHERE f.changes AND NOT f.is_guarded) ORDER BY 1;

-- Before replay_call() there is nothing but who may, and whether the arguments can be meant: no table is read, no limit
-- counted, no version compared, no answer given. (What is declared comes before BEGIN: _lock_order() without a version
-- says who may.)
CREATE FUNCTION regress_repeats.looked_at(source text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT m[1], ', ' ORDER BY m[1])
    FROM regexp_matches(regexp_replace(split_part(source, 'usher.replay_call(', 1), '--[^\n]*', '', 'g'),
        '(\mFROM\s+wash\.\w+|\mJOIN\s+wash\.\w+|\m(?:INSERT|UPDATE|DELETE)\M|_hit_\w+|hit_rate_limit|_lock_(?!order)\w+|_hold_\w+|\mexpected_version\M|\mRETURN\M)', 'g') AS m
$$;
SELECT f.name, regress_repeats.looked_at(f.source) AS before_it_replays FROM regress_repeats.functions f
WHERE f.source LIKE '%usher.replay\_call(%' AND regress_repeats.looked_at(f.source) IS NOT NULL ORDER BY 1;
SELECT count(*) > 15 AS have_been_asked FROM regress_repeats.functions f WHERE f.source LIKE '%usher.replay\_call(%';
-- Whoever takes a key asks with it: by replay_call(), by a function that does, or in C++; but for a journal, which has its
-- key in its row, and for what only remembers the answer of those who have asked.
SELECT DISTINCT f.name AS of_its_own FROM regress_repeats.functions f JOIN pg_proc p USING (oid)
    JOIN pg_language l ON l.oid = p.prolang
WHERE 'idempotency_key' = ANY (p.proargnames) AND l.lanname <> 'c' AND f.source NOT LIKE '%usher.replay\_call(%'
    AND NOT EXISTS (SELECT FROM regress_repeats.functions o JOIN pg_proc q ON q.oid = o.oid
                    WHERE o.source LIKE '%usher.replay\_call(%'
                        AND strpos(coalesce(pg_get_function_sqlbody(f.oid), f.source), 'wash.' || o.name || '(') > 0)
ORDER BY 1;
DROP SCHEMA regress_repeats CASCADE;
