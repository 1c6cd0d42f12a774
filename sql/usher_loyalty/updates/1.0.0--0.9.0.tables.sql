-- 0.9.0 adds up what each payment gives back. What followed from the payments of a purchase as a whole stays deducted;
-- what they were together is lost.
ALTER TABLE @extschema@.points_sources DROP COLUMN captured_minor, DROP COLUMN refunded_minor, DROP COLUMN kept_minor;
