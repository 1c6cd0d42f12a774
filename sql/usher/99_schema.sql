-- Last: what this script has made.
SELECT usher._record_schema('usher');
