-- Prints docs/routes.md from usher.routes.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\qecho '# Routes'
\qecho
\qecho 'Made by `./dev docs` from `usher.routes`, that is from the install scripts; a test checks that it is'
\qecho 'fresh. Do not edit.'
\qecho
\qecho 'What each takes and gives is in `/openapi.json`, which the gateway shows at `/docs`. Who may call it:'
\qecho '*public* means everybody, a permission those who have it; all others are for whoever is logged in, and'
\qecho 'the function decides what they may see and do.'
SELECT E'\n## ' || r.extension || ': ' || r.tag
    || E'\n\n| route | what | function | who |\n| --- | --- | --- | --- |\n'
    || string_agg(format('| `%s %s` | %s | `%s()` | %s |', r.method, r.path_template, replace(r.summary, '|', '\|'),
                         r.function_name, CASE r.access WHEN 'public' THEN '*public*'
                                              WHEN 'permission' THEN '`' || r.permission || '`' END),
                  E'\n' ORDER BY r.shape COLLATE "C", array_position('{GET,POST,PUT,PATCH,DELETE}', r.method))
FROM usher.routes r
GROUP BY r.extension, r.tag
ORDER BY r.extension::text COLLATE "C", r.tag COLLATE "C";
