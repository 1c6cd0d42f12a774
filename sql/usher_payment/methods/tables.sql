CREATE TABLE @extschema@.payment_methods (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    customer_id uuid NOT NULL,
    user_id uuid,
    processor text NOT NULL CHECK (processor ~ '^[a-z][a-z0-9_]{0,19}$'),
    kind text NOT NULL DEFAULT 'card' CHECK (kind ~ '^[a-z][a-z0-9_]{0,19}$'),
    token text NOT NULL CHECK (token <> '' AND length(token) <= 255),
    brand text CHECK (length(brand) <= 30),
    last_four text CHECK (last_four ~ '^[0-9]{4}$'),
    expiry_month smallint CHECK (expiry_month BETWEEN 1 AND 12),
    expiry_year smallint CHECK (expiry_year BETWEEN 2000 AND 2200),
    is_default boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    UNIQUE (processor, token),
    CONSTRAINT payment_methods_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
CREATE INDEX payment_methods_customer_idx ON @extschema@.payment_methods (customer_id);
CREATE INDEX payment_methods_user_idx ON @extschema@.payment_methods (user_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX payment_methods_default_key ON @extschema@.payment_methods (customer_id)
    WHERE is_default AND is_active;
COMMENT ON TABLE @extschema@.payment_methods IS
    'What customers have saved to pay with: the token of the processor, and what people know it by. Never a card '
    'number.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.payment_methods', '');
