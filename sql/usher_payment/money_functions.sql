-- Money as the rules in C++ see it (extension/common/money.hpp, currency.hpp).

CREATE FUNCTION @extschema@._is_payable(amount_minor bigint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_payment_is_payable';
COMMENT ON FUNCTION @extschema@._is_payable(bigint) IS 'At least one minor unit, and not beyond the largest amount.';

CREATE FUNCTION @extschema@._currency_exponent(currency text) RETURNS smallint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_payment_currency_exponent';
COMMENT ON FUNCTION @extschema@._currency_exponent(text) IS
    'The exponent of a currency of ISO 4217; NULL for what is none.';

CREATE FUNCTION @extschema@._require_currency(currency text) RETURNS smallint
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_payment_require_currency';
COMMENT ON FUNCTION @extschema@._require_currency(text) IS
    'The exponent of a currency; raises 22023 for what is none.';

CREATE FUNCTION @extschema@.list_currencies() RETURNS TABLE (currency text, exponent smallint)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 170
    AS 'MODULE_PATHNAME', 'usher_payment_list_currencies';
COMMENT ON FUNCTION @extschema@.list_currencies() IS
    'The currencies of ISO 4217 that can be paid in, and how many decimal places their minor unit stands for.';

CREATE FUNCTION @extschema@.to_minor_units(amount text, currency text) RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_payment_to_minor_units';
COMMENT ON FUNCTION @extschema@.to_minor_units(text, text) IS
    '"12.50" EUR is 1250. Nothing is rounded: raises 22023 for more decimal places than the currency has, for what is '
    'no decimal number (NaN, 1e3), and for what does not fit into a bigint.';

CREATE FUNCTION @extschema@.format_amount(amount_minor bigint, currency text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_payment_format_amount';
COMMENT ON FUNCTION @extschema@.format_amount(bigint, text) IS '1250 EUR is "12.50", 1250 JPY is "1250".';

CREATE FUNCTION @extschema@._refuse_card_numbers() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_payment_refuse_card_numbers';
COMMENT ON FUNCTION @extschema@._refuse_card_numbers() IS
    'Raises UP004 when a column of text or JSON holds what looks like a card number.';
