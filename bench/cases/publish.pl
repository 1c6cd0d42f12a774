# An event with one handler that runs at once, and a hand-written trigger that does the same: it stores the event in a table of the
# same form, and calls the function as its owner and with a safe search_path, as publish() does.
return {
    title    => 'publish() with one sync subscriber',
    rows     => 5_000,
    rounds   => 9,
    setup    => q{
        CREATE TABLE bench.handled (id bigint, event text);
        CREATE FUNCTION bench.handle(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO bench.handled VALUES ((payload ->> 'id')::bigint, event); END $$;
        CREATE FUNCTION bench.handle_as_owner(event text, payload jsonb) RETURNS void LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
            $$ BEGIN INSERT INTO bench.handled VALUES ((payload ->> 'id')::bigint, event); END $$;
        CREATE TABLE bench.outbox (LIKE usher.events INCLUDING ALL);
        CREATE FUNCTION bench.dispatch() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM bench.handle_as_owner(NEW.event, NEW.payload); RETURN NULL; END $$;
        CREATE TRIGGER dispatch AFTER INSERT ON bench.outbox FOR EACH ROW EXECUTE FUNCTION bench.dispatch();
        CREATE TABLE bench.source (id bigint);
        CREATE FUNCTION bench.write_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO bench.outbox (event, payload, key) VALUES ('bench.done', jsonb_build_object('id', NEW.id), NEW.id::text);
            RETURN NULL;
        END $$;
        CREATE FUNCTION bench.publish_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM usher.publish('bench.done', jsonb_build_object('id', NEW.id), NEW.id::text);
            RETURN NULL;
        END $$;
        SELECT usher.subscribe('bench.done', 'bench', 'bench.handle(text,jsonb)');},
    reset    => q{
        DROP TRIGGER IF EXISTS event ON bench.source;
        TRUNCATE bench.source, bench.outbox, bench.handled;
        DELETE FROM usher.events WHERE event = 'bench.done';
        VACUUM usher.events;},
    measure  => 'INSERT INTO bench.source SELECT generate_series(1, 5000);',
    teardown => "SELECT usher.unsubscribe('bench.done', 'bench');",
    variants => [
        { name => 'no event' },
        { name => 'a hand-written trigger', reset => 'CREATE TRIGGER event AFTER INSERT ON bench.source FOR EACH ROW EXECUTE FUNCTION bench.write_event();' },
        { name => 'usher.publish()', ours => 1,
          reset => 'CREATE TRIGGER event AFTER INSERT ON bench.source FOR EACH ROW EXECUTE FUNCTION bench.publish_event();' },
    ],
    targets  => [ { variant => 'usher.publish()', against => 'a hand-written trigger', ratio_at_most => 1 } ],
};
