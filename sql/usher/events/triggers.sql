-- Who hears of an event, and who may publish it.
SELECT usher._announce_changes(v.relation, 'events_inval')
FROM (VALUES ('usher.subscriptions'::regclass), ('usher.extension_events'), ('usher.extensions')) AS v (relation);
