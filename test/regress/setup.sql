-- The first test: makes the extensions that all others use.
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
