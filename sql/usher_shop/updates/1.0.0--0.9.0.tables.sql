-- 0.9.0 does not tell recorded money from that of payments, and knows of no refund that did not succeed: what is known
-- of both goes with the columns, and paid_minor has the sum.
-- Nor does it hear of what these events tell.
SELECT usher.unsubscribe(e, 'usher_shop')
FROM unnest('{refund.requested,refund.failed,refund.cancelled,payment.disputed,payment.dispute_closed}'::text[]) AS e;
--- end
ALTER TABLE @extschema@.orders
    DROP COLUMN recorded_minor, DROP COLUMN handed_back_minor, DROP COLUMN kept_minor, DROP COLUMN asked_minor;
SELECT usher.add_route(method => 'POST', path_template => '/tax-rates',
    function => '@extschema@.set_tax_rate(text,integer,timestamptz,uuid)', access => 'authenticated',
    permission => 'product:manage', success_status => 201, read_only => false,
    summary => 'Set a tax rate from a time on',
    tag => 'shop');
