-- What the rules in C++ say about money and about who may do what.

CREATE FUNCTION @extschema@._is_price(amount_minor bigint, currency text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_shop_is_price';
COMMENT ON FUNCTION @extschema@._is_price(bigint, text) IS
    'Whether something can cost that: nothing, or minor units of a currency of ISO 4217.';

CREATE FUNCTION @extschema@._require_price(amount_minor bigint, currency text) RETURNS void
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_shop_require_price';
COMMENT ON FUNCTION @extschema@._require_price(bigint, text) IS 'Raises 22023 for what is no price.';

CREATE FUNCTION @extschema@._shop_may(permission text, location_id uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_shop_may';
COMMENT ON FUNCTION @extschema@._shop_may(text, uuid) IS
    'Whether the current identity has a permission, everywhere or at the location. Raises 42501 for an untrusted '
    'database role without identity.';

CREATE FUNCTION @extschema@._shop_require(permission text, location_id uuid) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_shop_require';
COMMENT ON FUNCTION @extschema@._shop_require(text, uuid) IS
    'Raises 42501 unless the current identity has the permission, everywhere or at the location.';

CREATE FUNCTION @extschema@._shop_reads_all(permission text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_shop_reads_all';
COMMENT ON FUNCTION @extschema@._shop_reads_all(text) IS
    'Whether the current identity has the permission everywhere, or, without an identity, the database role is '
    'trusted. For those who need not be anybody to read a part, and for policies.';
