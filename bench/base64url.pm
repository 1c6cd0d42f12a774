# What the cases of tokens share: how SQL reads them, with pgcrypto and a function for base64url (RFC 4648, section 5).
package base64url;
use strict;
use warnings;

our $setup = q{
    CREATE EXTENSION IF NOT EXISTS pgcrypto;
    CREATE FUNCTION bench.from_base64url(t text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN decode(translate(t, '-_', '+/') || repeat('=', (4 - length(t) % 4) % 4), 'base64');
    END $$;
};

1;
