-- What features show of users, how they find and hold them, and where they write to them.

CREATE FUNCTION usher.references_of(ids uuid[]) RETURNS SETOF usher.user_reference
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT u.id, u.email::text, r.role, u.display_name
    FROM usher.users u LEFT JOIN usher._primary_roles(ids) AS r ON r.user_id = u.id
    WHERE u.id = ANY (ids) ORDER BY u.id;
END
$$;
REVOKE ALL ON FUNCTION usher.references_of(uuid[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.references_of(uuid[]) IS
    'References to many users in one query; unknown ids are left out. For features, which log what they read with '
    'them: the rows that refer to these users.';

CREATE FUNCTION usher.user_references(ids uuid[]) RETURNS SETOF usher.user_reference
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.log_reads('reference', coalesce(array_remove(ids, NULL), '{}'));
    RETURN QUERY SELECT r.* FROM usher.references_of(ids) AS r;
END
$$;
REVOKE ALL ON FUNCTION usher.user_references(uuid[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.user_references(uuid[]) IS
    'References to many users in one query; unknown ids are left out.';

CREATE FUNCTION usher.matching_users(ids uuid[], search text) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    query CONSTANT tsquery := usher.name_query(search);
    word CONSTANT text := (tsvector_to_array(usher.name_words(search)))[1];
    address CONSTANT text := usher.name_key(search);
BEGIN
    -- Of most accounts the name is not taken apart, and nothing is read but an index.
    RETURN QUERY
    SELECT u.id FROM usher.users u
    WHERE u.id = ANY (ids)
      AND CASE WHEN position(word IN lower(u.display_name)) > 0 THEN usher.name_words(u.display_name) @@ query END;
    IF position('@' IN address) > 0 THEN
        RETURN QUERY
        SELECT u.id FROM usher.users u
        WHERE usher.name_key(u.email::text) = address AND u.id = ANY (ids)
          AND NOT coalesce(usher.name_words(u.display_name) @@ query, false);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.matching_users(uuid[], text) FROM PUBLIC;
COMMENT ON FUNCTION usher.matching_users(uuid[], text) IS
    'Those of the users whose e-mail address is the text, or whose name has words that begin like those of the text. '
    'For features that search their own rows and refer to users.';

CREATE FUNCTION usher.search_users(search text, max_rows integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    query CONSTANT tsquery := usher.name_query(search);
BEGIN
    IF max_rows IS NULL OR max_rows < 0 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must not be null or below 0',
                                  '{"argument": "max_rows"}');
    END IF;
    RETURN QUERY
    SELECT u.id FROM usher.users u WHERE usher.name_key(u.email::text) = usher.name_key(search)
    UNION
    (SELECT u.id FROM usher.users u WHERE usher.name_words(u.display_name) @@ query LIMIT max_rows);
END
$$;
REVOKE ALL ON FUNCTION usher.search_users(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.search_users(text, integer) IS
    'Users as matching_users() finds them, of all: whose address it is, and at most so many by name, in no order.';

CREATE FUNCTION usher.expected_users(search text) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    accounts CONSTANT real := (SELECT c.reltuples FROM pg_class c WHERE c.oid = 'usher.users'::regclass);
    fraction real;
BEGIN
    -- The planner itself does not look for the beginnings of words in these. A word that begins none of them is rare.
    SELECT min(least(1, coalesce(found.frequency, 0)))
    INTO fraction
    FROM (SELECT sum(e.frequency) FILTER (WHERE starts_with(e.word, w.word)) AS frequency
          FROM pg_stats s
              CROSS JOIN unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) AS e (word, frequency)
              CROSS JOIN unnest(tsvector_to_array(usher.name_words(search))) AS w (word)
          WHERE s.schemaname = 'usher' AND s.tablename = 'users_name_idx'
          GROUP BY w.word) AS found;
    RETURN greatest(0, coalesce(fraction, 0) * accounts)::bigint;
END
$$;
REVOKE ALL ON FUNCTION usher.expected_users(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.expected_users(text) IS
    'About how many users search_users() would find, as of the last ANALYZE; 0 when at least one of the words is not '
    'common, or nothing is known. search_users() reads as many index entries, however few it is to return.';

CREATE FUNCTION usher._reference_of(id uuid) RETURNS usher.user_reference
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference usher.user_reference;
BEGIN
    SELECT u.id, u.email, usher._primary_role(u.id), u.display_name INTO reference
    FROM usher.users u WHERE u.id = _reference_of.id;
    RETURN CASE WHEN reference.id IS NOT NULL THEN reference END;
END
$$;
REVOKE ALL ON FUNCTION usher._reference_of(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._reference_of(uuid) IS 'What other features show of a user; NULL when there is none.';

CREATE FUNCTION usher.user_reference(id uuid) RETURNS usher.user_reference
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference CONSTANT usher.user_reference := usher._reference_of(user_reference.id);
BEGIN
    IF reference.id IS NOT NULL THEN
        PERFORM usher.log_read('reference', reference.id::text);
    END IF;
    RETURN reference;
END
$$;
REVOKE ALL ON FUNCTION usher.user_reference(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.user_reference(uuid) IS 'What other features show of a user; NULL when there is none.';

CREATE FUNCTION usher.user_contact(id uuid, OUT is_active boolean, OUT email text, OUT is_verified boolean,
                                   OUT name text, OUT language text, OUT time_zone text)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT u.is_active, u.email, u.email_verified_at IS NOT NULL, u.display_name,
           coalesce(u.preferences ->> 'language', u.profile ->> 'language'),
           coalesce(u.preferences ->> 'time_zone', u.profile ->> 'time_zone')
    INTO is_active, email, is_verified, name, language, time_zone
    FROM usher.users u WHERE u.id = user_contact.id;
END
$$;
REVOKE ALL ON FUNCTION usher.user_contact(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.user_contact(uuid) IS
    'Where, in which language and in which time zone to write to a user, the last two as their preferences or their '
    'profile have them ("language": a tag such as de or de-AT, "time_zone": Europe/Vienna), unchecked. For features '
    'that write to users.';

-- Asked when something is to be written: events name a customer, and carry no address that would outlive them.
CREATE FUNCTION usher.customer_contact(id uuid, OUT user_id uuid, OUT name text, OUT email text, OUT language text,
                                       OUT time_zone text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT u.id INTO user_id FROM usher.users AS u WHERE u.id = customer_contact.id;
    IF NOT FOUND THEN
        SELECT c.user_id, c.name, c.email, c.language, c.time_zone INTO user_id, name, email, language, time_zone
        FROM jsonb_to_record(usher._first_answer('contact', customer_contact.id))
            AS c (user_id uuid, name text, email text, language text, time_zone text);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.customer_contact(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.customer_contact(uuid) IS
    'Where, in which language and in which time zone to write to a customer, as the first feature says that knows '
    'them (hook contact); user_id: the customer has an account, and user_contact() says how to write to it. NULLs '
    'when nobody knows the customer, or they are not active. name: only one that strangers cannot have chosen. '
    'For features that write to customers.';

CREATE FUNCTION usher.location_reference(id uuid, OUT name text, OUT time_zone text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT l.name, l.time_zone INTO name, time_zone
    FROM jsonb_to_record(usher._first_answer('location', location_reference.id)) AS l (name text, time_zone text);
END
$$;
REVOKE ALL ON FUNCTION usher.location_reference(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.location_reference(uuid) IS
    'What a location is called, and the time zone of its clocks, as the first feature says that knows it (hook '
    'location); NULLs when nobody does. For features that write to customers.';

CREATE FUNCTION usher.purchase_of(reference_type text, id uuid, OUT customer_id uuid, OUT user_id uuid,
                                  OUT amount_minor bigint, OUT currency text, OUT location_id uuid,
                                  OUT service_id uuid, OUT lines jsonb, OUT takes_place_at timestamptz,
                                  OUT is_open boolean)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT p.customer_id, p.user_id, p.amount_minor, p.currency, p.location_id, p.service_id,
           coalesce(p.lines, '[]'), p.takes_place_at, coalesce(p.is_open, true)
    INTO customer_id, user_id, amount_minor, currency, location_id, service_id, lines, takes_place_at, is_open
    FROM jsonb_to_record(usher._first_answer('purchase', purchase_of.id, jsonb_build_object('reference_type',
            coalesce(purchase_of.reference_type, ''))))
        AS p (customer_id uuid, user_id uuid, amount_minor bigint, currency text, location_id uuid, service_id uuid,
              lines jsonb, takes_place_at timestamptz, is_open boolean)
    WHERE p.customer_id IS NOT NULL AND p.amount_minor IS NOT NULL AND p.currency IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION usher.purchase_of(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.purchase_of(text, uuid) IS
    'Who buys what under this id, for how much and where, as the first feature says that sells it (hook purchase); '
    'NULLs when nobody does. amount_minor is what it costs before discounts, lines are as order.placing has them, '
    'takes_place_at is when it is for, if not for now, is_open whether it can still become cheaper. For features '
    'that give discounts.';

CREATE FUNCTION usher.lock_user_reference(id uuid, require_active boolean DEFAULT true) RETURNS usher.user_reference
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked record;
BEGIN
    -- KEY SHARE: many bookings of one user may be made at once, while deleting or deactivating that user waits for
    -- them (and then finds them): _follow_user_status takes the row FOR UPDATE before it publishes.
    SELECT u.is_active INTO locked FROM usher.users u WHERE u.id = lock_user_reference.id FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(lock_user_reference.id);
    ELSIF coalesce(require_active, true) AND NOT locked.is_active THEN
        PERFORM usher.raise_error('unknown_reference', 'user is not active',
                                  jsonb_build_object('reference', 'user', 'id', lock_user_reference.id));
    END IF;
    RETURN usher._reference_of(lock_user_reference.id);
END
$$;
REVOKE ALL ON FUNCTION usher.lock_user_reference(uuid, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.lock_user_reference(uuid, boolean) IS
    'The reference, with the user held until the end of the transaction: deleting, deactivating or erasing the user '
    'waits. US005 when there is no such user, or the user is not active and must be.';
