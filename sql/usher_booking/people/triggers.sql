-- What is switched off is kept, with the time, and can come back (docs/engine.md, "Deactivation").
SELECT usher.enable_soft_delete('@extschema@.services', 'allow', 'service'),
       usher.enable_soft_delete('@extschema@.locations', 'allow', 'location'),
       usher.enable_soft_delete('@extschema@.location_staff', 'allow', 'location_staff'),
       usher.enable_soft_delete('@extschema@.customers', 'allow', 'customer');

-- Row-level security for those who SELECT from the tables themselves. The arrays are read once per statement.
ALTER TABLE @extschema@.customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE @extschema@.bookings ENABLE ROW LEVEL SECURITY;
ALTER TABLE @extschema@.appointments ENABLE ROW LEVEL SECURITY;
CREATE POLICY customers_own ON @extschema@.customers FOR SELECT
    USING (user_id = (SELECT usher.current_user_id('customer:read')));
CREATE POLICY customers_of_bookings ON @extschema@.customers FOR SELECT
    USING (id = ANY ((SELECT @extschema@._served_customers())::uuid[]));
CREATE POLICY customers_trusted ON @extschema@.customers FOR SELECT
    USING ((SELECT @extschema@._reads_all()));
CREATE POLICY bookings_own ON @extschema@.bookings FOR SELECT
    USING (customer_id = ANY ((SELECT @extschema@._own_customers())::uuid[]));
CREATE POLICY bookings_staff ON @extschema@.bookings FOR SELECT
    USING (staff_id = (SELECT usher.current_user_id('booking:read')));
CREATE POLICY bookings_managed ON @extschema@.bookings FOR SELECT
    USING (location_id = ANY ((SELECT @extschema@._managed_locations())::uuid[]));
CREATE POLICY bookings_trusted ON @extschema@.bookings FOR SELECT
    USING ((SELECT @extschema@._reads_all()));
CREATE POLICY appointments_own ON @extschema@.appointments FOR SELECT
    USING (customer_id = ANY ((SELECT @extschema@._own_customers())::uuid[]));
CREATE POLICY appointments_practitioner ON @extschema@.appointments FOR SELECT
    USING (practitioner_id = (SELECT usher.current_user_id('booking:read')));
CREATE POLICY appointments_handled ON @extschema@.appointments FOR SELECT
    USING (location_id = ANY ((SELECT @extschema@._handled_locations())::uuid[]));
CREATE POLICY appointments_trusted ON @extschema@.appointments FOR SELECT
    USING ((SELECT @extschema@._reads_all()));
