-- Prints docs/errors.md from usher.error_codes().
\set QUIET on
\pset format unaligned
\pset tuples_only on
\qecho '# Error codes'
\qecho
\qecho 'Made by `./dev docs` from `usher.error_codes()`, what each extension has registered; a test checks that it is'
\qecho 'fresh. Do not edit: the lists are `extension/common/error_codes.hpp` and `extension/usher_*/*_errors.hpp`.'
\qecho
\qecho 'An error carries its SQLSTATE, and a JSON object as DETAIL; over HTTP it is a problem document (RFC 9457)'
\qecho 'with the status and the `code` below. Codes without SQLSTATE are never raised: they are values of the'
\qecho 'result column `error`, so that counters and audit rows written on the way stay. A value that is refused'
\qecho '(22023) is named: by `argument`, and by `member` where the argument is an object.'
\qecho
\qecho '| code | SQLSTATE | HTTP status | meaning |'
\qecho '| --- | --- | --- | --- |'
SELECT format('| `%s` | %s | %s | %s |', code, coalesce('`' || sqlstate || '`', ''), http_status,
              replace(description, '|', '\|'))
FROM usher.error_codes() ORDER BY sqlstate NULLS LAST, code COLLATE "C";
