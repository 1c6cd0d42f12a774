-- The first test: makes the extensions that all others use.
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA wash;
CREATE EXTENSION usher_booking SCHEMA wash CASCADE;
