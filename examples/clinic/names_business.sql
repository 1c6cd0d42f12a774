-- Part of names.sql: customers, bookings and appointments, products and stock, payments and orders.

-- ---- Business: customers, bookings, appointments -------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.customers WITH (security_invoker) AS
SELECT c.id, c.user_id, c.name, c.email, c.phone, c.attributes, c.is_active, c.created_at, c.updated_at
FROM care.customers AS c;
COMMENT ON VIEW clinic.customers IS
    'R2 customers: profiles of users, who may have several, and of walk-in customers, who have no account.';

CREATE OR REPLACE FUNCTION clinic.write_customers() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.erase_customer(OLD.id);
        RETURN OLD;
    ELSIF TG_OP = 'UPDATE' AND (NEW.id, NEW.user_id) IS DISTINCT FROM (OLD.id, OLD.user_id) THEN
        PERFORM clinic.refuse('a profile stays with its user', 'care.upsert_customer() makes another one.');
    END IF;
    SELECT c.id INTO NEW.id
    FROM care.upsert_customer(NEW.user_id, NEW.name, NEW.email, NEW.phone, NEW.attributes, NEW.id) AS c;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_customers() IS
    'upsert_customer(), and erase_customer() for those without an account; the others go with it.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.customers
    FOR EACH ROW EXECUTE FUNCTION clinic.write_customers();

CREATE OR REPLACE VIEW clinic.bookings WITH (security_invoker) AS
SELECT b.id, b.customer_user_id AS user_id, b.customer_id,
    (SELECT a.id FROM care.appointments AS a WHERE a.booking_id = b.id ORDER BY a.start_at, a.id LIMIT 1)
        AS appointment_id,
    b.service_id, b.service_name, b.location_id, b.staff_id, b.status, b.start_at AS booking_date,
    b.end_at AS end_date,
    till.format_amount(b.price_minor, b.currency)::numeric AS total_amount, b.currency, b.paid_at,
    b.special_instructions AS notes, b.cancellation_reason, b.created_at, b.updated_at
FROM care.bookings AS b;
COMMENT ON VIEW clinic.bookings IS
    'R2 bookings: what customers have reserved. appointment_id is that of the first session. Writing a status moves '
    'the booking along, a date moves it, a staff_id gives it to somebody; deleting cancels.';

CREATE OR REPLACE FUNCTION clinic.write_bookings() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM care.cancel_booking(OLD.id, coalesce(OLD.cancellation_reason, 'customer_request'));
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT r.booking_id, r.status, r.end_at, r.staff_id INTO NEW.id, NEW.status, NEW.end_date, NEW.staff_id
        FROM care.create_booking(coalesce(NEW.customer_id, NEW.user_id), NEW.service_id, NEW.location_id,
                                 NEW.booking_date, NEW.staff_id, special_instructions => NEW.notes, id => NEW.id) AS r;
        RETURN NEW;
    END IF;
    IF NEW.booking_date <> OLD.booking_date THEN
        PERFORM care.reschedule_booking(NEW.id, NEW.booking_date, nullif(NEW.staff_id, OLD.staff_id));
    ELSIF NEW.staff_id IS DISTINCT FROM OLD.staff_id THEN
        PERFORM care.reassign_booking(NEW.id, NEW.staff_id);
    END IF;
    IF NEW.status <> OLD.status THEN
        CASE NEW.status
            WHEN 'confirmed' THEN PERFORM care.confirm_booking(NEW.id);
            WHEN 'in_progress' THEN PERFORM care.start_booking(NEW.id);
            WHEN 'completed' THEN PERFORM care.complete_booking(NEW.id);
            WHEN 'cancelled' THEN
                PERFORM care.cancel_booking(NEW.id, coalesce(NEW.cancellation_reason, 'customer_request'));
            ELSE PERFORM usher.raise_error('illegal_transition', format('no booking becomes %s', NEW.status));
        END CASE;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_bookings() IS
    'create_booking(), confirm_booking(), start_booking(), complete_booking(), cancel_booking(), '
    'reschedule_booking() …';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.bookings
    FOR EACH ROW EXECUTE FUNCTION clinic.write_bookings();

CREATE OR REPLACE VIEW clinic.appointments WITH (security_invoker) AS
SELECT a.id, a.booking_id, c.user_id, a.customer_id, a.practitioner_id AS doctor_id, b.service_id, a.location_id,
    a.start_at AS appointment_date, a.end_at AS end_date, a.status, a.notes, a.cancellation_reason,
    a.created_at, a.updated_at
FROM care.appointments AS a LEFT JOIN care.customers AS c ON c.id = a.customer_id
    LEFT JOIN care.bookings AS b ON b.id = a.booking_id; -- which the front desk does not see
COMMENT ON VIEW clinic.appointments IS
    'R2 appointments: when a patient (customer_id, user_id) meets a doctor for a service. Inserted with a booking_id'
    ' it is a further session of that booking, without one it is booked first. Writing a status moves it along.';

CREATE OR REPLACE FUNCTION clinic.write_appointments() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM care.transition_appointment(OLD.id, 'cancelled', 'customer_request');
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.booking_id IS NULL THEN
            SELECT r.booking_id, r.end_at INTO NEW.booking_id, NEW.end_date
            FROM care.create_booking(coalesce(NEW.customer_id, NEW.user_id), NEW.service_id, NEW.location_id,
                                     NEW.appointment_date, NEW.doctor_id) AS r;
            SELECT a.appointment_id, a.status, a.practitioner_id INTO NEW.id, NEW.status, NEW.doctor_id
            FROM care.list_appointments(booking_id => NEW.booking_id) AS a;
        ELSE
            SELECT a.appointment_id, a.status, a.practitioner_id INTO NEW.id, NEW.status, NEW.doctor_id
            FROM care.schedule_appointment(NEW.booking_id, NEW.doctor_id,
                                           tstzrange(NEW.appointment_date, NEW.end_date), NEW.notes) AS a;
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status = OLD.status THEN
        PERFORM clinic.refuse('an appointment moves with its status, and with its booking',
                              'care.transition_appointment(), care.reschedule_booking(), care.reassign_booking()');
    END IF;
    PERFORM care.transition_appointment(NEW.id, NEW.status, NEW.cancellation_reason, nullif(NEW.notes, OLD.notes));
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_appointments() IS
    'create_booking(), schedule_appointment(), transition_appointment().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.appointments
    FOR EACH ROW EXECUTE FUNCTION clinic.write_appointments();

-- ---- Business: products and stock ----------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.products WITH (security_invoker) AS
SELECT p.id, p.sku, p.name, p.description, p.category, p.kind AS product_type,
    CASE WHEN d.price_minor IS NOT NULL THEN till.format_amount(d.price_minor, d.currency)::numeric END AS price,
    d.currency, p.status = 'active' AS is_active,
    coalesce((SELECT a.availability FROM shop.list_availability(ARRAY[p.id]) AS a
              WHERE p.status = 'active' AND p.track_stock LIMIT 1), CASE WHEN p.track_stock THEN 'out'
                                                                         ELSE 'unlimited' END) AS availability,
    (SELECT sum(l.on_hand - l.reserved) FROM shop.stock_levels AS l WHERE l.product_id = p.id)::bigint
        AS stock_quantity,
    p.tax_class, p.created_at, p.updated_at
FROM shop.products AS p CROSS JOIN LATERAL shop.get_product(p.id) AS d;
COMMENT ON VIEW clinic.products IS
    'R2 products: medical products, services, treatments; price, availability, description. stock_quantity is there '
    'for whoever may see stock. Writing a price adds it to the price list, from now on.';

CREATE OR REPLACE FUNCTION clinic.write_products() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    unit CONSTANT text := coalesce(NEW.currency, usher.setting('shop.currency'));
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT p.product_id INTO NEW.id FROM shop.create_product(NEW.sku, NEW.name, coalesce(NEW.product_type,
            'product'), CASE WHEN NEW.price IS NOT NULL THEN till.to_minor_units(NEW.price::text, unit) END, unit,
            NEW.description, category => NEW.category, tax_class => NEW.tax_class,
            status => CASE WHEN NEW.is_active THEN 'active' ELSE 'draft' END,
            id => NEW.id) AS p;
        RETURN NEW;
    END IF;
    IF (NEW.name, NEW.description, NEW.category) IS DISTINCT FROM (OLD.name, OLD.description, OLD.category) THEN
        PERFORM shop.update_product(NEW.id, jsonb_build_object('name', NEW.name, 'description', NEW.description,
                                                               'category', NEW.category));
    END IF;
    IF (NEW.price, NEW.currency) IS DISTINCT FROM (OLD.price, OLD.currency) THEN
        PERFORM shop.set_price(NEW.id, till.to_minor_units(NEW.price::text, unit), unit);
    END IF;
    IF NEW.is_active <> OLD.is_active THEN
        PERFORM shop.set_product_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'archived' END);
    END IF;
    IF NEW.stock_quantity IS DISTINCT FROM OLD.stock_quantity THEN
        PERFORM clinic.refuse('stock changes by movements', 'Insert into inventory_logs.');
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_products() IS
    'create_product(), update_product(), set_price(), set_product_status().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE ON clinic.products
    FOR EACH ROW EXECUTE FUNCTION clinic.write_products();
CREATE OR REPLACE TRIGGER refused INSTEAD OF DELETE ON clinic.products
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Orders refer to it: set is_active to false.');

CREATE OR REPLACE VIEW clinic.inventory_logs WITH (security_barrier) AS
SELECT l.id, l.product_id, l.location_id, l.movement AS movement_type, l.on_hand_delta AS quantity,
    l.reserved_delta AS reserved, l.on_hand_after AS stock_after, l.reason_code AS reason, l.actor_id AS user_id,
    l.created_at
FROM shop.inventory_logs AS l
WHERE clinic.sees('shop.inventory_logs', NULL, 'stock:read', l.location_id);
COMMENT ON VIEW clinic.inventory_logs IS
    'R2 inventory_logs: purchases, sales, adjustments and the other movements of stock. What is inserted moves '
    'stock; sales come from orders.';

CREATE OR REPLACE FUNCTION clinic.write_inventory_logs() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    CASE NEW.movement_type
        WHEN 'purchase' THEN
            SELECT r.on_hand INTO NEW.stock_after
            FROM shop.receive_stock(NEW.product_id, NEW.location_id, NEW.quantity) AS r;
        WHEN 'adjustment' THEN
            SELECT r.on_hand INTO NEW.stock_after
            FROM shop.adjust_stock(NEW.product_id, NEW.location_id, NEW.quantity, NEW.reason) AS r;
        ELSE PERFORM clinic.refuse(format('a movement "%s" follows from something', NEW.movement_type),
                                   'shop.place_order(), shop.fulfil_order(), shop.return_order() …');
    END CASE;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_inventory_logs() IS 'receive_stock(), adjust_stock().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT ON clinic.inventory_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.write_inventory_logs();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE OR DELETE ON clinic.inventory_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Rows of the log stay; shop.log_retention says for how long.');

-- ---- Financial -----------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.payment_transactions WITH (security_invoker) AS
SELECT p.id, CASE p.reference_type WHEN 'booking' THEN p.reference_id END AS booking_id,
    CASE p.reference_type WHEN 'order' THEN p.reference_id END AS order_id, p.customer_id, p.user_id, p.purpose,
    till.format_amount(p.amount_minor, p.currency)::numeric AS amount, p.currency, p.payment_method, p.status,
    till.format_amount(p.refunded_minor + p.refund_reserved_minor, p.currency)::numeric AS refunded_amount,
    p.processor, p.failure_code, p.created_at, p.completed_at, p.updated_at
FROM till.payment_transactions AS p;
COMMENT ON VIEW clinic.payment_transactions IS
    'R2 payment_transactions: who pays what, how, for which booking or order; several for one booking. No card data '
    'is anywhere. Writing the status completed records money that was taken, refunded gives it back, failed gives '
    'up.';

CREATE OR REPLACE FUNCTION clinic.write_payment_transactions() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT p.transaction_id, p.status INTO NEW.id, NEW.status
        FROM till.create_payment(coalesce(NEW.customer_id, NEW.user_id),
            till.to_minor_units(NEW.amount::text, NEW.currency), NEW.currency, coalesce(NEW.payment_method, 'card'),
            CASE WHEN NEW.booking_id IS NOT NULL THEN 'booking' WHEN NEW.order_id IS NOT NULL THEN 'order' END,
            coalesce(NEW.booking_id, NEW.order_id), coalesce(NEW.purpose, 'sale'), id => NEW.id) AS p;
        RETURN NEW;
    END IF;
    CASE NEW.status
        WHEN 'completed' THEN
            PERFORM till.record_manual_payment(NEW.id, NEW.payment_method);
        WHEN 'refunded' THEN
            -- what was written, or all that is left
            PERFORM till.create_refund(NEW.id, CASE WHEN NEW.refunded_amount <> OLD.refunded_amount THEN
                till.to_minor_units((NEW.refunded_amount - OLD.refunded_amount)::text, NEW.currency) END);
        WHEN 'failed' THEN
            PERFORM till.cancel_payment(NEW.id);
        ELSE PERFORM usher.raise_error('illegal_transition', format('nobody makes a payment %s', NEW.status));
    END CASE;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_payment_transactions() IS
    'create_payment(), record_manual_payment(), create_refund(), cancel_payment().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE ON clinic.payment_transactions
    FOR EACH ROW EXECUTE FUNCTION clinic.write_payment_transactions();
CREATE OR REPLACE TRIGGER refused INSTEAD OF DELETE ON clinic.payment_transactions
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('What was paid stays on record: till.create_refund().');

CREATE OR REPLACE VIEW clinic.order_events WITH (security_barrier) AS
SELECT e.order_id, e.seq, e.event AS event_type, e.from_status AS old_status, e.to_status AS new_status,
    e.reason_code AS reason, e.payload AS event_data, e.actor_id AS user_id, e.created_at
FROM shop.order_events AS e JOIN shop.orders AS o ON o.id = e.order_id
WHERE clinic.sees('shop.order_events', o.user_id, 'order:read', o.location_id);
COMMENT ON VIEW clinic.order_events IS
    'R2 order_events: every status that an order had, and what else was written down, numbered; its audit trail.';

CREATE OR REPLACE FUNCTION clinic.write_order_events() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.new_status IS NOT NULL OR NEW.old_status IS NOT NULL THEN
        PERFORM clinic.refuse('statuses are written down when they change', 'shop.place_order() and the like.');
    END IF;
    NEW.seq := shop.add_order_event(NEW.order_id, NEW.event_type, coalesce(NEW.event_data, '{}'));
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_order_events() IS 'add_order_event().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT ON clinic.order_events
    FOR EACH ROW EXECUTE FUNCTION clinic.write_order_events();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE OR DELETE ON clinic.order_events
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('What happened stays on record.');
