-- What usher_booking tells core about itself.

CREATE FUNCTION @extschema@._booking_error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_error_codes';
COMMENT ON FUNCTION @extschema@._booking_error_codes() IS
    'The error codes of usher_booking (extension/usher_booking/booking_errors.hpp).';

SELECT usher.register_extension('Services, locations, hours, staff, customers, and bookings that cannot overlap',
    error_class => 'UB',
    error_codes => @extschema@._booking_error_codes(),
    hooks => '{
        "upkeep": "_booking_upkeep", "self_check": "_booking_self_check", "configuration": "_booking_configuration",
        "metrics": "_booking_metrics", "export": "_export_customer", "erase": "_erase_customer",
        "profiles": "_profiles_of", "contact": "_contact_of", "location": "_location_of",
        "purchase": "_booked_purchase"}',
    -- what may go wrong here is counted by self_check, or is the business of the worker
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "appointments": {"user": ["created_by", "practitioner_id"], "personal": ["notes"],
            "impersonal": ["cancellation_reason", "status"]},
        "booking_discounts": {"impersonal": ["*"]},
        "booking_reminders": {"impersonal": ["*"]},
        "booking_claims": {"user": ["resource_id"], "impersonal": ["holder_id", "resource_kind"]},
        "bookings": {"user": ["created_by", "customer_user_id", "staff_id"], "personal": ["special_instructions",
            "status_notes", "vehicle_info"],
            "impersonal": ["cancellation_reason", "currency", "payment_method", "payment_transaction", "series_id",
            "service_name", "status"]},
        "customers": {"subject": ["user_id"], "user": ["created_by"], "personal": ["attributes", "email", "name",
            "phone"]},
        "location_exceptions": {"impersonal": ["*"]},
        "location_staff": {"user": ["staff_id"], "impersonal": ["hours_version", "role"]},
        "locations": {"impersonal": ["*"]},
        "resource_guards": {"impersonal": ["*"]},
        "services": {"impersonal": ["*"]},
        "staff_hours": {"user": ["staff_id"]},
        "staff_skills": {"user": ["staff_id"]},
        "staff_time_off": {"user": ["created_by", "staff_id"], "personal": ["reason"]}
    }$json$,
    settings => '[
        {"name": "booking.reminder_notice", "type": "integer", "default_value": "24",
         "description": "Hours before a confirmed booking starts that booking.reminder is published; 0: never."}]',
    role_presets => $json$
    {
        "carwash": {
            "permissions": {"booking:create": "Book", "booking:read": "See all bookings",
                "booking:confirm": "Confirm bookings", "booking:start": "Start bookings",
                "booking:complete": "Complete bookings", "booking:cancel": "Cancel bookings of others",
                "booking:reschedule": "Move bookings of others",
                "booking:overbook": "Book beyond the capacity of a location",
                "booking:manage": "Change bookings in any way", "service:manage": "Change the services on offer",
                "location:manage": "Change locations and opening hours",
                "location:manage_any": "Do the same, and all about bookings, at every location",
                "staff:manage": "Change staff and their hours"},
            "roles": {
                "admin": {"description": "Full system access, user management, system configuration",
                    "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Operations, staff management, reporting",
                    "manages": ["washer", "client"], "permissions": ["booking:*", "service:manage",
                    "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
                "washer": {"description": "Service execution, task management", "manages": [], "permissions": [
                    "booking:read", "booking:start", "booking:complete"]},
                "client": {"is_default": true, "description": "Service consumption, booking management",
                    "manages": [], "permissions": ["booking:create"]}
            }
        },
        "clinic": {
            "permissions": {"booking:create": "Book", "booking:read": "See all bookings",
                "booking:confirm": "Confirm bookings", "booking:start": "Start bookings",
                "booking:complete": "Complete bookings", "booking:cancel": "Cancel bookings of others",
                "booking:reschedule": "Move bookings of others",
                "booking:overbook": "Book beyond the capacity of a location",
                "booking:manage": "Change bookings in any way", "service:manage": "Change the services on offer",
                "location:manage": "Change locations and opening hours",
                "location:manage_any": "Do the same, and all about bookings, at every location",
                "staff:manage": "Change staff and their hours", "appointment:create": "Make appointments",
                "appointment:read": "See all appointments", "appointment:manage": "Change appointments",
                "customer:read": "See customers", "customer:manage": "Change customers"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                    "permissions": ["appointment:*", "booking:*", "customer:*", "service:manage",
                    "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
                "staff": {"description": "Practitioners and reception", "manages": [], "permissions": [
                    "appointment:create", "appointment:read", "appointment:manage", "customer:read",
                    "booking:create", "booking:read", "booking:confirm", "booking:start", "booking:complete",
                    "booking:reschedule"]},
                "customer": {"is_default": true, "description": "Makes own appointments", "manages": [],
                    "permissions": ["appointment:create", "booking:create"]}
            }
        }
    }$json$,
    publishes => '{booking.created,booking.confirmed,booking.started,booking.completed,booking.cancelled,
        booking.rescheduled,booking.needs_staff,booking.orphaned,booking.refund_proposed,booking.total_changed,
        booking.customer_gone,booking.reminder,appointment.scheduled,
        appointment.arrived,appointment.started,appointment.completed,appointment.cancelled,appointment.no_show,
        appointment.rescheduled,
        service.deactivated,service.restored,location.deactivated,location.restored,location_staff.deactivated,
        location_staff.restored,customer.deactivated,customer.restored}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'list_services list_locations find_slots create_booking confirm_booking start_booking complete_booking
          cancel_booking
          reschedule_booking get_booking get_bookings list_bookings get_booking_history upsert_customer explain_slot
          create_booking_series reassign_booking swap_bookings export_booking_ical schedule_appointment
          transition_appointment
          list_appointments list_customers'),
        ('function', '{application,gateway,admin}',
         'create_service update_service set_service_active create_location update_location set_location_active
          set_customer_active
          set_location_hours
          import_location_hours set_location_exception set_location_services assign_staff unassign_staff
          set_staff_skills
          set_staff_hours add_staff_time_off remove_staff_time_off list_staff list_bookings_outside_hours
          cancel_user_bookings expire_holds'),
            -- For the row-level security policies: they tell only what is the caller's own.
        ('function', '{application,gateway,admin}',
         '_own_customers _served_customers _managed_locations _handled_locations _reads_all'),

        ('table', '{application,gateway,readonly,auditor,admin}',
         'services locations location_hours location_exceptions location_services location_staff staff_skills
          active_services active_locations active_location_staff'),
        -- Rows by row-level security.
        ('table', '{application,gateway,admin}', 'customers active_customers bookings appointments'),
        ('table', '{admin}', 'staff_hours staff_time_off')) AS v (kind, levels, names)) AS a));
