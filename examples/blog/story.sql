-- The story of a blog: an author writes and publishes, a reader comments, an editor moderates; pages by offset and by
-- key; the roles of the database, each with what it may and may not; migrations; and an author who leaves. Needs
-- install.sql and names.sql:
--
--     ./dev psql --system blog -f examples/blog/story.sql
--
-- It plays several people, so it is run by a superuser; what they do is done as blog_app, which has only
-- grant_access('blog_app', 'application') and is held by the policies of the tables. Who somebody is comes from
-- usher.authenticate() alone. Each step checks what it got. May run again: whoever comes is new.
\ir ../expect.sql
SET search_path = blog, public;
SELECT substr(md5(random()::text), 1, 12) AS run, clock_timestamp() AS beginning \gset
SELECT pg_temp.person(:'run' || '-ann@blog.example', 'Ann ' || :'run', 'author') AS ann \gset
SELECT pg_temp.person(:'run' || '-rae@blog.example', 'Rae ' || :'run') AS rae \gset
SELECT usher.issue_token(:'ann') AS ann_token, usher.issue_token(:'rae') AS rae_token \gset
SELECT usher.grant_permission(:'ann'::uuid, 'post:publish', scope => :'ann');
SELECT access_token AS edd_token FROM usher.login('edd@blog.example', 'blog-editor-demo-1') \gset
SELECT access_token AS admin_token FROM usher.login('admin@blog.example', 'blog-admin-demo-1') \gset
SET ROLE blog_app;

\echo '--- 1. users and roles, under the names of the document'
BEGIN;
SELECT usher.authenticate(:'rae_token') AS me \gset
SELECT pg_temp.expect('a newcomer is a reader',
    (SELECT string_agg(u.name || ' ' || r.name || ' ' || u.password_hash, ', ')
    FROM users u JOIN user_roles ur ON ur.user_id = u.id JOIN roles r ON r.id = ur.role_id),
        'Rae ' || :'run' || ' reader ***');
UPDATE users SET name = 'Rae', phone = '+1 555 0100' WHERE id = :'rae';
SELECT pg_temp.expect('name and phone', (SELECT name || ' ' || phone FROM users), 'Rae +1 555 0100');
SELECT pg_temp.expect('one''s own role', pg_temp.refusal(format(
    'INSERT INTO user_roles (user_id, role_id) SELECT %L, id FROM roles WHERE name = ''editor''', :'rae')), '42501');
SELECT pg_temp.expect('a proof by oneself', pg_temp.refusal('UPDATE users SET is_verified = false'), '0A000');
SELECT pg_temp.expect('the account of somebody else', (SELECT count(*) FROM users WHERE id = :'ann')::text, '0');
SELECT pg_temp.expect('the log', (SELECT count(*) FROM audit_logs)::text, '0');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
INSERT INTO roles (name, description) VALUES ('guest_' || :'run', 'Writes now and then');
INSERT INTO user_roles (user_id, role_id) SELECT :'rae', id FROM roles WHERE name = 'guest_' || :'run';
SELECT pg_temp.expect('who assigned it', (SELECT u.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id
    JOIN users u ON u.id = ur.assigned_by WHERE ur.user_id = :'rae' AND r.name = 'guest_' || :'run'), 'Ada');
SELECT pg_temp.expect('the same role twice', pg_temp.refusal(format('INSERT INTO user_roles (user_id, role_id)
    SELECT %L, id FROM roles WHERE name = %L', :'rae', 'guest_' || :'run')), '23505');
SELECT pg_temp.expect('a role of the system that is dropped',
    pg_temp.refusal('DELETE FROM roles WHERE name = ''admin'''), 'US202');
DELETE FROM roles WHERE name = 'guest_' || :'run';
SELECT pg_temp.expect('assignments go with the role', (SELECT count(*) FROM user_roles WHERE user_id = :'rae')::text,
    '1');
COMMIT;

\echo '--- 2. an author writes and publishes; a reader sees it then, and comments'
BEGIN;
SELECT usher.authenticate(:'ann_token') AS me \gset
SELECT post_id AS first, version AS first_version FROM create_post('First', 'Hello') \gset
SELECT post_id AS second FROM create_post('Second') \gset
SELECT pg_temp.expect('a title twice', pg_temp.refusal('SELECT blog.create_post(''First'')'), '23505');
SELECT pg_temp.expect('a post of somebody else', pg_temp.refusal(format(
    'INSERT INTO posts (user_id, title) VALUES (%L, ''Hers'')', :'rae')), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'rae_token') AS me \gset
SELECT pg_temp.expect('drafts that a reader sees', (SELECT count(*) FROM posts WHERE user_id = :'ann')::text, '0');
SELECT pg_temp.expect('a comment on a draft',
    pg_temp.refusal(format('SELECT blog.add_comment(%L, ''me first'')', :'first')), '42501');
SELECT pg_temp.expect('a post by a reader', pg_temp.refusal('SELECT blog.create_post(''Mine'')'), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'ann_token') AS me \gset
SELECT pg_temp.expect('what she may do next', (SELECT string_agg(action, ', ' ORDER BY action)
    FROM usher.allowed_transitions('blog.posts', :'first') WHERE allowed), 'archive, publish');
SELECT pg_temp.expect('publishing',
    (SELECT new_status FROM change_post(:'first', status => 'published', expected_version => :first_version)),
    'published');
SELECT pg_temp.expect('once more with the old version',
    pg_temp.refusal(format('SELECT blog.change_post(%L, status => ''draft'', expected_version => 1)', :'first')),
        'US003');
SELECT pg_temp.expect('a status that there is not',
    pg_temp.refusal(format('UPDATE posts SET status = ''lost'' WHERE id = %L', :'first')), 'US001');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'rae_token') AS me \gset
SELECT pg_temp.expect('the list', (SELECT title || ' by ' || author FROM list_posts() WHERE id = :'first'),
    'First by Ann ' || :'run');
SELECT add_comment(:'first', 'Nice') AS comment, add_comment(:'first', 'Buy my watches') AS spam \gset
SELECT pg_temp.expect('a reader who publishes',
    pg_temp.refusal(format('SELECT blog.change_post(%L, status => ''archived'')', :'first')), 'US005');
SELECT pg_temp.expect('a comment for somebody else', pg_temp.refusal(format(
    'INSERT INTO comments (post_id, user_id, content) VALUES (%L, %L, ''Yes'')', :'first', :'ann')), '42501');
COMMIT;

\echo '--- 3. an editor moderates, publishes for others, and takes back; the first day of publishing stays'
SELECT published_at AS day_one FROM posts WHERE id = :'first' \gset
BEGIN;
SELECT usher.authenticate(:'edd_token') AS me \gset
SELECT pg_temp.expect('hiding a comment', moderate_comment(:'spam', true)::text, 'true');
SELECT pg_temp.expect('unpublishing', (SELECT new_status FROM change_post(:'first', status => 'draft')), 'draft');
SELECT pg_temp.expect('publishing again', (SELECT new_status FROM change_post(:'first', status => 'published')),
    'published');
SELECT pg_temp.expect('the second', (SELECT new_status FROM change_post(:'second', status => 'published')),
    'published');
COMMIT;
SELECT pg_temp.expect('day of publishing', (SELECT published_at::text FROM posts WHERE id = :'first'), :'day_one');
SELECT pg_temp.expect('comments in the list of nobody in particular',
    (SELECT string_agg(title || ' ' || comments, ', ' ORDER BY title)
    FROM list_posts() WHERE id IN (:'first', :'second')), 'First 1, Second 0');

\echo '--- 4. a comment is deleted and comes back; an author''s own words stay editable for a while; a profile'
BEGIN;
SELECT usher.authenticate(:'rae_token') AS me \gset
UPDATE comments SET content = 'Very nice' WHERE id = :'comment';
DELETE FROM comments WHERE id = :'comment';
SELECT pg_temp.expect('comments left', (SELECT count(*) FROM active_comments WHERE id = :'comment')::text, '0');
SELECT pg_temp.expect('restored', usher.restore_row('blog.comments', to_jsonb(:'comment'::text))::text, 'true');
SELECT pg_temp.expect('a moderator''s act by a reader',
    pg_temp.refusal(format('SELECT blog.moderate_comment(%L, false)', :'spam')), '42501');
INSERT INTO user_profiles (user_id, bio, avatar_url) VALUES (:'rae', 'Reads', 'https://blog.example/rae.png');
SELECT pg_temp.expect('a second profile',
    pg_temp.refusal(format('INSERT INTO user_profiles (user_id) VALUES (%L)', :'rae')), '23505');
SELECT pg_temp.expect('the profile of somebody else', pg_temp.refusal(format(
    'INSERT INTO user_profiles (user_id, bio) VALUES (%L, ''Writes badly'')', :'ann')), '42501');
SELECT set_profile('Reads and comments') AS profile \gset
SELECT pg_temp.expect('changed', (SELECT bio FROM user_profiles WHERE user_id = :'rae'), 'Reads and comments');
COMMIT;

\echo '--- 5. pages of a list: by offset, and by key, which misses nothing when a row comes in between'
BEGIN;
SELECT usher.authenticate(:'ann_token') AS me \gset
SELECT count(create_post('Page ' || n)) AS made FROM generate_series(1, 5) AS n \gset
SELECT count(change_post(id, status => 'published')) AS published FROM posts WHERE user_id = :'ann'
    AND title LIKE 'Page %' \gset
SELECT pg_temp.expect('pages of two by offset', string_agg((SELECT count(*)::text FROM (SELECT * FROM resources
    WHERE user_id = :'ann' AND status = 'active' ORDER BY created_at DESC LIMIT 2 OFFSET page * 2) AS rows), ' '
        ORDER BY page), '2 2 2 1')
    FROM generate_series(0, 3) AS page;
SELECT pg_temp.expect('the first page by key', string_agg(title, ', ' ORDER BY id DESC), 'Page 5, Page 4')
    FROM list_posts(max_rows => 2);
SELECT id AS last FROM list_posts(max_rows => 2) ORDER BY id LIMIT 1 \gset
SELECT new_status FROM change_post((create_post('In between')).post_id, status => 'published') \gset
SELECT pg_temp.expect('the second one', string_agg(title, ', ' ORDER BY id DESC), 'Page 3, Page 2')
    FROM list_posts(:'last', 2);
SELECT pg_temp.expect('a page of none', pg_temp.refusal('SELECT * FROM blog.list_posts(max_rows => 0)'), '22023');
ROLLBACK;

\echo '--- 6. roles of the database: the application is limited, analytics sees no names, migrations are one role''s'
SELECT pg_temp.expect('posts that nobody in particular writes',
    pg_temp.refusal('INSERT INTO posts (title) VALUES (''x'')'), '42501');
SELECT pg_temp.expect('the application and the schema: ' || statement, pg_temp.refusal(statement), '42501')
    FROM unnest(ARRAY['ALTER TABLE posts ADD COLUMN rating integer', 'DROP TABLE comments',
        'CREATE TABLE blog.mine (id integer)',
                      'ALTER TABLE posts DISABLE ROW LEVEL SECURITY', 'TRUNCATE posts',
                          'SELECT * FROM usher.credentials',
                      'SELECT * FROM usher.users', 'SELECT usher.run_maintenance()',
                          'SELECT usher.issue_token(NULL)']) AS statement;
RESET ROLE;
SET ROLE blog_analytics;
SELECT pg_temp.expect('what analytics counts', (count(*) FILTER (WHERE status = 'published') >= 4)::text, 'true')
    FROM posts;
SELECT pg_temp.expect('readers', (count(*) >= 2)::text, 'true') FROM user_roles ur JOIN roles r ON r.id = ur.role_id
    WHERE r.name = 'reader';
SELECT pg_temp.expect('accounts by month', (count(*) > 0)::text, 'true') FROM (
    SELECT date_trunc('month', created_at), count(*) FROM users GROUP BY 1) AS months;
SELECT pg_temp.expect('what analytics does not: ' || statement, pg_temp.refusal(statement), '42501')
    FROM unnest(ARRAY['SELECT email FROM users', 'SELECT name FROM users', 'SELECT content FROM posts',
        'SELECT content FROM comments',
                      'SELECT * FROM user_profiles', 'SELECT * FROM audit_logs', 'SELECT * FROM sessions',
                      'UPDATE posts SET status = ''draft''', 'INSERT INTO comments (post_id) VALUES (NULL)',
                      'SELECT email FROM usher.users', 'SELECT usher.login(''a'', ''b'')']) AS statement;
RESET ROLE;
SET ROLE blog_migrations;
BEGIN;
ALTER TABLE posts ADD COLUMN subtitle text; -- up
SELECT pg_temp.expect('a migration', (SELECT count(*) FROM posts WHERE subtitle IS NULL AND id = :'first')::text, '1');
ALTER TABLE posts DROP COLUMN subtitle; -- and down
COMMIT;
SELECT pg_temp.expect('what migrations do not: ' || statement, pg_temp.refusal(statement), '42501')
    FROM unnest(ARRAY['SELECT password_hash FROM usher.credentials', 'UPDATE usher.users SET tier = ''GOLD''',
                      'DELETE FROM usher.audit_logs', 'ALTER TABLE usher.users ADD COLUMN x integer']) AS statement;
RESET ROLE;
SELECT pg_temp.expect('a new column is audited like the others, and drift is none', count(*)::text, '0')
    FROM usher.schema_drift();
SET ROLE blog_app;

\echo '--- 7. sessions'
SELECT session_id AS phone, access_token AS phone_token
    FROM usher.login(:'run' || '-rae@blog.example', 'a long password of Rae ' || :'run', '{"name": "phone"}') \gset
BEGIN;
SELECT usher.authenticate(:'phone_token') AS me \gset
SELECT pg_temp.expect('the session',
    (SELECT token_hash || ' ' || (expires_at > now()) FROM sessions WHERE id = :'phone'), '*** true');
DELETE FROM sessions WHERE id = :'phone';
COMMIT;
SELECT pg_temp.expect('a statement later', pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'phone_token')),
    '28000');

\echo '--- 8. the author leaves: her posts stay, her name goes'
BEGIN;
SELECT usher.authenticate(:'ann_token') AS me \gset
SELECT pg_temp.expect('what is held about her', (SELECT string_agg(p ->> 'title', ', ' ORDER BY p ->> 'title')
    FROM jsonb_array_elements(usher.export_user() -> 'blog' -> 'posts') AS p), 'First, Second');
DELETE FROM users WHERE id = :'ann';
COMMIT;
SELECT pg_temp.expect('deleted for now: the author',
    (SELECT DISTINCT author FROM list_posts() WHERE id IN (:'first', :'second')),
    'Ann ' || :'run');
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
SELECT usher.erase_user(:'ann');
COMMIT;
SELECT pg_temp.expect('erased: the author',
    (SELECT DISTINCT author FROM list_posts() WHERE id IN (:'first', :'second')), 'somebody');
RESET ROLE;

\echo '--- 9. everything is on record'
SELECT pg_temp.expect('history of the first post',
    (SELECT string_agg(action, ', ' ORDER BY seq) FROM usher.history('blog.posts', :'first')),
    'create, publish, unpublish, publish');
SELECT pg_temp.expect('who published it then', (SELECT (changed_by).name FROM usher.history('blog.posts', :'first')
    WHERE action = 'publish' ORDER BY seq DESC LIMIT 1), 'Edd');
SELECT pg_temp.expect('the words of the comment before', (SELECT old_values ->> 'content' FROM audit_logs
    WHERE entity_type = 'blog.comments' AND entity_id = :'comment' AND action = 'update' AND new_values ? 'content'),
        'Nice');
SELECT pg_temp.expect('her words in the log', (SELECT count(*) FROM audit_logs WHERE entity_id = :'first'
    AND concat(old_values, new_values) LIKE '%Hello%')::text, '0');
-- of one post one at a time, in order
CREATE TEMP TABLE mailed AS SELECT c.payload, usher.complete_event('newsletter', c.event_id)
    FROM usher.claim_events('newsletter', 1000) AS c;
SELECT pg_temp.expect('what the newsletter gets',
    (SELECT string_agg(payload ->> 'title', ', ' ORDER BY payload ->> 'title')
    FROM mailed WHERE payload ->> 'id' IN (:'first', :'second')), 'First, Second');
SELECT pg_temp.expect('and then',
    (SELECT string_agg(payload ->> 'title', ', ') FROM usher.claim_events('newsletter', 1000)
    WHERE payload ->> 'id' IN (:'first', :'second')), 'First');
SELECT pg_temp.expect('an event by somebody else',
    pg_temp.refusal('SET LOCAL ROLE blog_app; SELECT usher.publish(''post.published'')'), '42501');
SELECT pg_temp.expect('updated_at moved', (SELECT updated_at > created_at FROM posts WHERE id = :'first')::text,
    'true');
SELECT pg_temp.expect('violations', count(*)::text, '0') FROM usher.self_check() WHERE violations > 0;
\echo 'the whole story came out as it should'
