-- A blog in plain SQL: posts with a status machine, comments with soft delete, row-level security by roles and scopes,
-- audit, events. Everything that the application itself writes stands here: tables, policies, a few functions. Runs in
-- a database of its own, as a superuser; the people act as the database role blog_app, and who somebody is comes from
-- usher.authenticate() alone:
--
--     createdb blog && psql -d blog -f examples/blog.sql
--
-- Each step checks what it got: the script stops at the first surprise.
\ir expect.sql
CREATE EXTENSION usher CASCADE;
SELECT usher.apply_role_preset('blog');
SELECT usher.apply_machine_preset('post') AS version \gset

-- ---- the application -----------------------------------------------------------------------------------------------

CREATE SCHEMA blog;
CREATE TABLE blog.posts (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    user_id uuid, -- NULL: the author has left
    title text NOT NULL CHECK (title <> ''),
    content text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'draft',
    published_at timestamptz,
    version integer NOT NULL DEFAULT 1
);
CREATE TABLE blog.comments (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    post_id uuid NOT NULL REFERENCES blog.posts ON DELETE CASCADE,
    user_id uuid,
    content text NOT NULL CHECK (content <> ''),
    is_hidden boolean NOT NULL DEFAULT false
);
CREATE INDEX ON blog.posts (user_id);
CREATE INDEX ON blog.comments (post_id);
CREATE INDEX ON blog.comments (user_id);

-- created_at, updated_at, is_active, deleted_at, audit, and the views active_posts and active_comments
SELECT usher.enable_entity('blog.posts'), usher.enable_entity('blog.comments') \gset
SELECT usher.add_unique_among_active('blog.posts', '{user_id,title}') AS one_title \gset
-- user_id is the scope: whoever has post:publish for his own id publishes what he wrote
SELECT usher.attach_machine('post', 'blog.posts', 'status',
    '{"version_column": "version", "scope_column": "user_id", "event_prefix": "post", "payload_columns": ["title", '
    '"user_id"]}') \gset

-- set once, and never moved
CREATE FUNCTION blog.set_published_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.published_at := CASE WHEN NEW.status = 'published' THEN coalesce(OLD.published_at, now())
                             ELSE OLD.published_at END;
    RETURN NEW;
END
$$;
CREATE TRIGGER published_at BEFORE UPDATE ON blog.posts FOR EACH ROW EXECUTE FUNCTION blog.set_published_at();

ALTER TABLE blog.posts ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON blog.posts FOR SELECT
    USING (status = 'published' OR user_id = usher.current_user_id() OR usher.has_permission('post:read'));
CREATE POLICY write ON blog.posts FOR INSERT
    WITH CHECK (user_id = usher.current_user_id() AND usher.has_permission('post:create'));
CREATE POLICY change ON blog.posts
    FOR UPDATE USING (user_id = usher.current_user_id() OR usher.has_permission('post:edit'));
CREATE POLICY remove ON blog.posts FOR DELETE
    USING (user_id = usher.current_user_id() OR usher.has_permission('post:delete'));
ALTER TABLE blog.comments ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON blog.comments FOR SELECT
    USING (NOT is_hidden OR user_id = usher.current_user_id() OR usher.has_permission('comment:moderate'));
CREATE POLICY write ON blog.comments FOR INSERT
    WITH CHECK (user_id = usher.current_user_id() AND usher.has_permission('comment:create')
    AND EXISTS (SELECT FROM blog.active_posts p WHERE p.id = post_id AND p.status = 'published'));
-- authors for a quarter of an hour, moderators always
CREATE POLICY change ON blog.comments FOR UPDATE
    USING ((user_id = usher.current_user_id() AND created_at > now() - interval '15 minutes')
           OR usher.has_permission('comment:moderate'));
CREATE POLICY remove ON blog.comments FOR DELETE
    USING (user_id = usher.current_user_id() OR usher.has_permission('comment:moderate'));

CREATE FUNCTION blog.create_post(title text, content text DEFAULT '', OUT post_id uuid, OUT status text,
                                 OUT version integer)
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO blog.posts AS p (user_id, title, content)
    VALUES (usher.current_user_id(), create_post.title, create_post.content)
    RETURNING p.id, p.status, p.version INTO post_id, status, version;
END
$$;
CREATE FUNCTION blog.change_post(post_id uuid, status text, version integer DEFAULT NULL, OUT new_status text,
                                 OUT new_version integer)
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE blog.posts p SET status = change_post.status, version = coalesce(change_post.version, p.version)
    WHERE p.id = change_post.post_id RETURNING p.status, p.version INTO new_status, new_version;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'post does not exist, or is not yours',
                                  jsonb_build_object('post_id', post_id));
    END IF;
END
$$;
CREATE FUNCTION blog.add_comment(post_id uuid, content text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE comment_id uuid;
BEGIN
    INSERT INTO blog.comments AS c (post_id, user_id, content)
    VALUES (add_comment.post_id, usher.current_user_id(), add_comment.content)
    RETURNING c.id INTO comment_id;
    RETURN comment_id;
END
$$;
CREATE FUNCTION blog.moderate_comment(comment_id uuid, hide boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM usher.require_permission('comment:moderate');
    UPDATE blog.comments SET is_hidden = hide WHERE id = comment_id;
    RETURN FOUND;
END
$$;
CREATE FUNCTION blog.list_posts(after uuid DEFAULT NULL)
    RETURNS TABLE (id uuid, title text, author text, status text, published_at timestamptz, comments bigint)
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
        SELECT p.id, p.title, coalesce((usher.user_reference(p.user_id)).name, 'somebody'), p.status, p.published_at,
        (SELECT count(*) FROM blog.active_comments c WHERE c.post_id = p.id)
    FROM blog.active_posts p WHERE list_posts.after IS NULL OR p.id < list_posts.after ORDER BY p.id DESC LIMIT 20;
END
$$;

-- What others are told, and what happens here when an account goes: posts and comments stay, their author is forgotten
CREATE FUNCTION blog.forget_author(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE blog.posts SET user_id = NULL WHERE user_id = (payload ->> 'user_id')::uuid;
    UPDATE blog.comments SET user_id = NULL WHERE user_id = (payload ->> 'user_id')::uuid;
END
$$;
SELECT usher.subscribe('user.deleted', 'blog', 'blog.forget_author(text,jsonb)');
SELECT usher.subscribe('post.published', 'newsletter', mode => 'async');

DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'blog_app') THEN CREATE ROLE blog_app; END IF; END $$;
SELECT usher.grant_access('blog_app', 'application');
GRANT USAGE ON SCHEMA blog TO blog_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON blog.posts TO blog_app;
GRANT SELECT, INSERT, DELETE, UPDATE ON blog.comments TO blog_app;
GRANT SELECT ON blog.active_posts, blog.active_comments TO blog_app;

-- ---- what happens in it --------------------------------------------------------------------------------------------

SELECT pg_temp.person('ann@blog.example', 'Ann', 'author') AS ann \gset
SELECT pg_temp.person('edd@blog.example', 'Edd', 'editor') AS edd \gset
SELECT pg_temp.person('rae@blog.example', 'Rae', 'reader') AS rae \gset
SELECT usher.grant_permission(:'ann'::uuid, 'post:publish', scope => :'ann');
SELECT usher.issue_token(:'ann') AS ann_token, usher.issue_token(:'edd') AS edd_token,
       usher.issue_token(:'rae') AS rae_token \gset
SET ROLE blog_app;

\echo '--- an author writes and publishes; a reader sees it then, and comments'
BEGIN;
SELECT usher.authenticate(:'ann_token') AS me \gset
SELECT post_id AS first, version AS first_version FROM blog.create_post('First', 'Hello') \gset
SELECT post_id AS second FROM blog.create_post('Second') \gset
SELECT pg_temp.expect('a title twice', pg_temp.refusal('SELECT blog.create_post(''First'')'), '23505');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'rae_token') AS me \gset
SELECT pg_temp.expect('posts that a reader sees', count(*)::text, '0') FROM blog.list_posts();
SELECT pg_temp.expect('a comment on a draft',
                      pg_temp.refusal(format('SELECT blog.add_comment(%L, ''me first'')', :'first')), '42501');
SELECT pg_temp.expect('a post by a reader', pg_temp.refusal('SELECT blog.create_post(''Mine'')'), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'ann_token') AS me \gset
SELECT pg_temp.expect('what she may do next', string_agg(action, ', ' ORDER BY action), 'archive, publish')
    FROM usher.allowed_transitions('blog.posts', :'first') WHERE allowed;
SELECT pg_temp.expect('publishing', new_status, 'published')
FROM blog.change_post(:'first', 'published', :first_version);
SELECT pg_temp.expect('once more with the old version',
                      pg_temp.refusal(format('SELECT blog.change_post(%L, ''draft'', 1)', :'first')), 'US003');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'rae_token') AS me \gset
SELECT pg_temp.expect('the list', title || ' by ' || author, 'First by Ann') FROM blog.list_posts();
SELECT blog.add_comment(:'first', 'Nice') AS comment \gset
SELECT blog.add_comment(:'first', 'Buy my watches') AS spam \gset
SELECT pg_temp.expect('a reader who publishes',
                      pg_temp.refusal(format('SELECT blog.change_post(%L, ''archived'')', :'first')), 'US005');
COMMIT;

\echo '--- an editor moderates, publishes for others, and takes back; the first day of publishing stays'
SELECT published_at AS day_one FROM blog.posts WHERE id = :'first' \gset
BEGIN;
SELECT usher.authenticate(:'edd_token') AS me \gset
SELECT pg_temp.expect('hiding a comment', blog.moderate_comment(:'spam', true)::text, 'true');
SELECT pg_temp.expect('unpublishing', new_status, 'draft') FROM blog.change_post(:'first', 'draft');
SELECT pg_temp.expect('publishing again', new_status, 'published') FROM blog.change_post(:'first', 'published');
SELECT pg_temp.expect('the second', new_status, 'published') FROM blog.change_post(:'second', 'published');
COMMIT;
SELECT pg_temp.expect('day of publishing', published_at::text, :'day_one') FROM blog.posts WHERE id = :'first';
SELECT pg_temp.expect('comments in the list', string_agg(title || ' ' || comments, ', ' ORDER BY title),
                      'First 1, Second 0') FROM blog.list_posts();

\echo '--- a comment is deleted and comes back; an author''s own words stay editable for a while'
BEGIN;
SELECT usher.authenticate(:'rae_token') AS me \gset
UPDATE blog.comments SET content = 'Very nice' WHERE id = :'comment';
DELETE FROM blog.comments WHERE id = :'comment';
SELECT pg_temp.expect('comments left', count(*)::text, '0') FROM blog.active_comments WHERE id = :'comment';
SELECT pg_temp.expect('restored', usher.restore_row('blog.comments', to_jsonb(:'comment'::text))::text, 'true');
SELECT pg_temp.expect('a moderator''s act by a reader',
                      pg_temp.refusal(format('SELECT blog.moderate_comment(%L, false)', :'spam')), '42501');
COMMIT;

\echo '--- the author leaves: her posts stay'
BEGIN;
SELECT usher.authenticate(:'ann_token') AS me \gset
SELECT usher.delete_user();
COMMIT;
SELECT pg_temp.expect('authors in the list', string_agg(DISTINCT author, ', '), 'somebody') FROM blog.list_posts();
RESET ROLE;

\echo '--- everything is on record'
SELECT pg_temp.expect('history of the first post', string_agg(action, ', ' ORDER BY seq),
                      'create, publish, unpublish, publish')
    FROM usher.history('blog.posts', :'first');
SELECT pg_temp.expect('who published it first, and who then',
                      string_agg((changed_by).name, ', ' ORDER BY seq), 'Ann, Edd')
    FROM usher.history('blog.posts', :'first') WHERE action = 'publish';
SELECT pg_temp.expect('the words of the comment before', (
    SELECT old_values ->> 'content' FROM usher.row_history('blog.comments', to_jsonb(:'comment'::text))
    WHERE new_values ? 'content' AND action = 'update'), 'Nice');
-- of one post one at a time, in order
SELECT pg_temp.expect('what the newsletter gets',
    string_agg(payload ->> 'title' || CASE WHEN usher.complete_event('newsletter', event_id) THEN ' done' END, ', '),
    'First done, Second done') FROM usher.claim_events('newsletter', 10);
SELECT pg_temp.expect('and then', string_agg(payload ->> 'title', ', '), 'First')
FROM usher.claim_events('newsletter', 10);
SELECT pg_temp.expect('updated_at moved', bool_and(updated_at > created_at)::text, 'true') FROM blog.posts;
SELECT pg_temp.expect('violations', count(*)::text, '0') FROM usher.self_check() WHERE violations > 0;
\echo 'the whole story came out as it should'
