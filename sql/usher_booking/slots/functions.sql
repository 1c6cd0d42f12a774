-- Free slots, and why a slot is not free.

CREATE FUNCTION @extschema@.find_slots(location_id uuid, service_id uuid, window_start timestamptz DEFAULT NULL,
    window_end timestamptz DEFAULT NULL, staff_id uuid DEFAULT NULL, max_rows integer DEFAULT 200)
    RETURNS TABLE (start_at timestamptz, end_at timestamptz, local_start timestamp, local_date date,
        free_places integer, staff_ids uuid[])
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_find_slots';
COMMENT ON FUNCTION @extschema@.find_slots(uuid, uuid, timestamptz, timestamptz, uuid, integer) IS
    'Free slots in a window (default: the next 7 days, at most 93): when, how many places are left at the peak, and '
    'who could do it. max_rows: at most 10000.';

CREATE FUNCTION @extschema@.explain_slot(location_id uuid, service_id uuid, start_at timestamptz,
    staff_id uuid DEFAULT NULL, customer_id uuid DEFAULT NULL)
    RETURNS TABLE (rule text, ok boolean, detail jsonb)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_explain_slot';
COMMENT ON FUNCTION @extschema@.explain_slot(uuid, uuid, timestamptz, uuid, uuid) IS
    'Every rule that a booking at this instant must keep, one row each: whether it does, and what it goes by. About '
    'a customer only for themselves and for managers.';
