-- What is written to whom when something happens: a rule for each event and audience, and templates in each language.
-- Both are shipped rows: what administrators make of them is kept as decisions.

CREATE TABLE @extschema@.message_rules (
    event text NOT NULL CHECK (event ~ '^[a-z0-9_]+(\.[a-z0-9_]+)+$' AND octet_length(event) <= 100),
    audience text NOT NULL DEFAULT 'user' CHECK (audience ~ '^[a-z][a-z0-9_]{0,62}$'),
    user_keys text[] NOT NULL DEFAULT '{user_id}' CHECK (array_position(user_keys, NULL) IS NULL),
    customer_keys text[] NOT NULL DEFAULT '{customer_id}' CHECK (array_position(customer_keys, NULL) IS NULL),
    address_key text CHECK (address_key <> ''),
    secret_keys text[] NOT NULL DEFAULT '{}' CHECK (array_position(secret_keys, NULL) IS NULL),
    supersedes text[] NOT NULL DEFAULT '{}' CHECK (array_position(supersedes, NULL) IS NULL),
    expires_key text CHECK (expires_key <> ''),
    max_age interval NOT NULL DEFAULT '2 days' CHECK (max_age BETWEEN '1 minute' AND '30 days'),
    digest_window interval NOT NULL DEFAULT '0' CHECK (digest_window BETWEEN '0' AND '7 days'),
    priority integer NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    is_active boolean NOT NULL DEFAULT true,
    extension name DEFAULT usher._installing_extension(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event, audience)
);
COMMENT ON TABLE @extschema@.message_rules IS
    'For which events messages are made, and to whom. The script of the extension writes defaults; what others make '
    'of them is kept as decisions. An event without a rule is no reason for a message.';
COMMENT ON COLUMN @extschema@.message_rules.audience IS
    'Who gets it: user, or another name where one event is told to several, such as former_address.';
COMMENT ON COLUMN @extschema@.message_rules.user_keys IS
    'Members of the payload that may hold the id of the user: the first that is there counts.';
COMMENT ON COLUMN @extschema@.message_rules.customer_keys IS
    'Members of the payload that may hold the id of a customer, asked where there is no user: the features that know '
    'the customer tell their account or their address (usher.customer_contact()).';
COMMENT ON COLUMN @extschema@.message_rules.address_key IS
    'The member of the payload with the address; NULL: that of the account or the customer, as it is when the event '
    'is seen.';
COMMENT ON COLUMN @extschema@.message_rules.secret_keys IS
    'Members of the payload that are cut out of the event once the message has gone, or never will. A subject cannot '
    'have them, and without one of them there is no message: it was used, or replaced by a newer one.';
COMMENT ON COLUMN @extschema@.message_rules.supersedes IS
    'Events whose messages about the same thing (the key of the event) need not go any more, if they have not gone.';
COMMENT ON COLUMN @extschema@.message_rules.expires_key IS
    'The member of the payload with the instant from which on the message is of no use.';
COMMENT ON COLUMN @extschema@.message_rules.max_age IS 'How long after the event a message may go at the latest.';
COMMENT ON COLUMN @extschema@.message_rules.digest_window IS
    'Of equal messages to one recipient the first goes at once, and all others of this time after it as one.';
COMMENT ON COLUMN @extschema@.message_rules.priority IS 'Messages with a smaller number go first.';
SELECT usher.ship_rows('@extschema@.message_rules', '{event,audience}');

CREATE TABLE @extschema@.message_templates (
    event text NOT NULL CHECK (event ~ '^[a-z0-9_]+(\.[a-z0-9_]+)+$' AND octet_length(event) <= 100),
    audience text NOT NULL DEFAULT 'user' CHECK (audience ~ '^[a-z][a-z0-9_]{0,62}$'),
    channel text NOT NULL DEFAULT 'email' CHECK (channel = 'email'),
    language text NOT NULL CHECK (language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8})*$'),
    subject text NOT NULL CHECK (subject <> ''),
    body_text text NOT NULL CHECK (body_text <> ''),
    body_html text CHECK (body_html <> ''),
    is_active boolean NOT NULL DEFAULT true,
    extension name DEFAULT usher._installing_extension(),
    version integer NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event, audience, channel, language)
);
COMMENT ON TABLE @extschema@.message_templates IS
    'What messages say, in each language. Whoever writes a row: what cannot be read, or would place a value where it '
    'is not safe, is refused (UM001).';
COMMENT ON COLUMN @extschema@.message_templates.body_html IS 'NULL: the message is text only.';
SELECT usher.ship_rows('@extschema@.message_templates', '{event,audience,channel,language}');
