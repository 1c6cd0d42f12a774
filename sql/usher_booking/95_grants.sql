-- What each access level may call and read here. usher.grant_access() calls _grant_access() of every installed extension.

CREATE FUNCTION @extschema@._access_list() RETURNS TABLE (kind text, levels text[], names text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES
    -- Each function checks the identity itself.
    ('function', '{application,gateway,admin}'::text[],
     'list_services list_locations find_slots create_booking confirm_booking start_booking complete_booking cancel_booking
      reschedule_booking get_booking get_bookings list_bookings get_booking_history upsert_customer explain_slot
      create_booking_series reassign_booking swap_bookings export_booking_ical schedule_appointment transition_appointment
      list_appointments list_customers'),
    ('function', '{application,gateway,admin}',
     'create_service update_service set_service_active create_location update_location set_location_active set_location_hours
      import_location_hours set_location_exception set_location_services assign_staff unassign_staff set_staff_skills
      set_staff_hours add_staff_time_off remove_staff_time_off list_staff list_bookings_outside_hours cancel_user_bookings expire_holds'),
    ('function', '{application,gateway,auditor,admin}', 'self_check'),
    -- For the row-level security policies: they tell only what is the caller's own.
    ('function', '{application,gateway,admin}', '_own_customers _served_customers _managed_locations _handled_locations _reads_all'),

    ('table', '{application,gateway,readonly,auditor,admin}',
     'services locations location_hours location_exceptions location_services location_staff staff_skills'),
    -- Rows by row-level security.
    ('table', '{application,gateway,admin}', 'customers bookings appointments'),
    ('table', '{admin}', 'staff_hours staff_time_off');
END;
COMMENT ON FUNCTION @extschema@._access_list() IS 'What each access level may call and read in this extension: kind, levels and names.';

CREATE FUNCTION @extschema@._grant_access(role name, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._grant_list((parse_ident('@extschema@'))[1]::name, role, level, l.kind, l.levels, l.names)
        FROM @extschema@._access_list() AS l;
END
$$;
COMMENT ON FUNCTION @extschema@._grant_access(name, text) IS 'Grants what a level may do in this extension.';
