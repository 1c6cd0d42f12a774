-- A blog: posts with a status machine, comments, profiles; users, roles, sessions and audit are usher's. What a DBA
-- runs, as a superuser, on an empty database blog; may run again and changes nothing then. names.sql adds the tables
-- of the document that are usher's (docs/requirements.md, R4) under their own names.
--
-- Four database roles, as its document has them: blog_app is the application, and limited; blog_migrations owns the
-- tables, for migrations only; blog_analytics reads, and sees nobody's name; the superuser installs usher, and is not
-- needed after that.
--
-- demo: Demo accounts (e-mail, password):
-- demo:   admin@blog.example   blog-admin-demo-1
-- demo:   edd@blog.example     blog-editor-demo-1   publishes and moderates
-- demo:   ann@blog.example     blog-author-demo-1   writes
-- demo:   rae@blog.example     blog-reader-demo-1   comments
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;

-- The document: UTC, passwords by bcrypt.
SELECT format('ALTER DATABASE %I SET %s', current_database(), setting)
FROM unnest(ARRAY['timezone = ''UTC''', 'usher.password_algorithm = bcrypt']) AS setting \gexec
SET usher.password_algorithm = bcrypt;

-- Give them passwords, or certificates, to use them.
DO $$
DECLARE
    role record;
BEGIN
    FOR role IN SELECT * FROM (VALUES ('blog_app', 'application'), ('blog_migrations', 'admin'),
        ('blog_analytics', 'readonly'))
        AS r (name, level)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role.name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role.name);
        END IF;
        IF NOT EXISTS (SELECT FROM usher.database_roles d JOIN pg_roles r ON r.oid = d.role_oid
                       WHERE r.rolname = role.name AND d.level = role.level) THEN
            PERFORM usher.grant_access(role.name, role.level);
        END IF;
    END LOOP;
END
$$;
CREATE SCHEMA IF NOT EXISTS blog AUTHORIZATION blog_migrations;
GRANT USAGE ON SCHEMA blog TO blog_app, blog_analytics;
GRANT REFERENCES (id) ON usher.users TO blog_migrations; -- profiles have a foreign key to users

-- ---- migrations, by the role for migrations ------------------------------------------------------------------------

SET ROLE blog_migrations;
COMMENT ON SCHEMA blog IS
    'The blog''s own tables and functions, and usher''s tables under the names of its document.';

-- 1.0.0: posts and comments
CREATE TABLE IF NOT EXISTS blog.posts (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    user_id uuid, -- NULL: the author has left, for good
    title text NOT NULL CHECK (title <> '' AND length(title) <= 255),
    content text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'draft',
    published_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE blog.posts IS 'Posts. Their status obeys the machine post.';
CREATE TABLE IF NOT EXISTS blog.comments (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    post_id uuid NOT NULL REFERENCES blog.posts ON DELETE CASCADE,
    user_id uuid,
    content text NOT NULL CHECK (content <> '' AND length(content) <= 4000),
    is_hidden boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz
);
COMMENT ON TABLE blog.comments IS 'Comments on posts. Moderators hide them; deleted ones can come back.';
-- a page of somebody's posts, by status, newest first; and all foreign keys have their index
CREATE INDEX IF NOT EXISTS posts_user_id_status_created_at_idx ON blog.posts (user_id, status, created_at DESC);
CREATE INDEX IF NOT EXISTS comments_post_id_idx ON blog.comments (post_id);
CREATE INDEX IF NOT EXISTS comments_user_id_idx ON blog.comments (user_id);

-- 1.1.0: profiles, the document's migration template
CREATE TABLE IF NOT EXISTS blog.user_profiles (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    user_id uuid NOT NULL REFERENCES usher.users ON DELETE CASCADE,
    bio text,
    avatar_url varchar(500),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_user_profiles_user_id ON blog.user_profiles (user_id);
COMMENT ON TABLE blog.user_profiles IS
    'What users say about themselves. usher.users.profile would keep it, too; this is the document''s migration.';

-- Row-level security: for the application, whoever is logged in. Analytics reads what it was granted, of all rows.
ALTER TABLE blog.posts ENABLE ROW LEVEL SECURITY;
ALTER TABLE blog.comments ENABLE ROW LEVEL SECURITY;
ALTER TABLE blog.user_profiles ENABLE ROW LEVEL SECURITY;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_policies WHERE schemaname = 'blog') THEN
        RETURN;
    END IF;
    CREATE POLICY posts_read ON blog.posts FOR SELECT TO blog_app
        USING (status = 'published' OR user_id = usher.current_user_id() OR usher.has_permission('post:edit'));
    CREATE POLICY posts_write ON blog.posts FOR INSERT TO blog_app
        WITH CHECK (user_id = usher.current_user_id() AND usher.has_permission('post:create'));
    CREATE POLICY posts_change ON blog.posts FOR UPDATE TO blog_app
        USING (user_id = usher.current_user_id() OR usher.has_permission('post:edit'));
    CREATE POLICY posts_remove ON blog.posts FOR DELETE TO blog_app
        USING (user_id = usher.current_user_id() OR usher.has_permission('post:delete'));
    CREATE POLICY posts_count ON blog.posts FOR SELECT TO blog_analytics USING (true);

    CREATE POLICY comments_read ON blog.comments FOR SELECT TO blog_app
        USING (NOT is_hidden OR user_id = usher.current_user_id() OR usher.has_permission('comment:moderate'));
    CREATE POLICY comments_write ON blog.comments FOR INSERT TO blog_app
        WITH CHECK (user_id = usher.current_user_id() AND NOT is_hidden AND usher.has_permission('comment:create')
            AND EXISTS (SELECT FROM blog.posts p WHERE p.id = post_id AND p.status = 'published' AND p.is_active));
    -- authors for a quarter of an hour, moderators always
    CREATE POLICY comments_change ON blog.comments FOR UPDATE TO blog_app
        USING (usher.has_permission('comment:moderate')
               OR (user_id = usher.current_user_id() AND created_at > now() - interval '15 minutes'));
    CREATE POLICY comments_remove ON blog.comments FOR DELETE TO blog_app
        USING (user_id = usher.current_user_id() OR usher.has_permission('comment:moderate'));
    CREATE POLICY comments_count ON blog.comments FOR SELECT TO blog_analytics USING (true);

    CREATE POLICY profiles_read ON blog.user_profiles FOR SELECT TO blog_app USING (true);
    CREATE POLICY profiles_own ON blog.user_profiles TO blog_app
        USING (user_id = usher.current_user_id()) WITH CHECK (user_id = usher.current_user_id());
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON blog.posts, blog.comments, blog.user_profiles TO blog_app;

CREATE OR REPLACE FUNCTION blog.set_published_at() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.published_at := CASE WHEN NEW.status = 'published'
        THEN coalesce(OLD.published_at, now()) ELSE OLD.published_at END;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION blog.set_published_at() IS 'Trigger: the day of publishing is set once, and never moved.';

-- what usher calls when somebody wants to have what is held about them, or to be forgotten: their words stay, without
-- a name
CREATE OR REPLACE FUNCTION blog.export_author(user_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'posts', (SELECT coalesce(jsonb_agg(to_jsonb(p) - 'user_id' ORDER BY p.id), '[]') FROM blog.posts p
                  WHERE p.user_id = export_author.user_id),
        'comments', (SELECT coalesce(jsonb_agg(to_jsonb(c) - 'user_id' ORDER BY c.id), '[]') FROM blog.comments c
                     WHERE c.user_id = export_author.user_id),
        'profile', (SELECT to_jsonb(u) - 'user_id' FROM blog.user_profiles u WHERE u.user_id = export_author.user_id))
$$;
COMMENT ON FUNCTION blog.export_author(uuid) IS 'Hook of export_user(): what somebody has written.';
CREATE OR REPLACE FUNCTION blog.forget_author(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
    m bigint;
BEGIN
    UPDATE blog.posts AS p SET user_id = NULL WHERE p.user_id = forget_author.user_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    UPDATE blog.comments AS c SET user_id = NULL WHERE c.user_id = forget_author.user_id;
    GET DIAGNOSTICS m = ROW_COUNT;
    n := n + m;
    DELETE FROM blog.user_profiles AS u WHERE u.user_id = forget_author.user_id;
    GET DIAGNOSTICS m = ROW_COUNT;
    RETURN n + m;
END
$$;
COMMENT ON FUNCTION blog.forget_author(uuid) IS
    'Hook of erase_user(): posts and comments stay, their author is forgotten.';

-- What usher is told of all this, once.
DO $$
BEGIN
    IF EXISTS (SELECT FROM usher.list_extensions() WHERE name = 'blog') THEN
        RETURN;
    END IF;
    PERFORM usher.register_extension('A blog', name => 'blog', schema_name => 'blog',
        hooks => '{"export": "export_author", "erase": "forget_author"}',
        declined_hooks => '{upkeep,self_check,configuration,metrics,health}',
        personal_data => '{"posts": {"subject": ["user_id"], "personal": ["title", "content"], "impersonal": '
            '["status"]},
            "comments": {"subject": ["user_id"], "personal": ["content"]},
            "user_profiles": {"subject": ["user_id"], "personal": ["bio", "avatar_url"]}}',
        publishes => '{post.created,post.published,post.unpublished,post.archived}',
        access => '[{"kind": "function", "levels": ["application", "gateway", "admin"], "names":
                     "create_post change_post list_posts add_comment list_comments moderate_comment delete_comment '
                         'set_profile"},
                    {"kind": "table", "levels": ["readonly", "auditor", "admin"], "names":
                     "posts(id,user_id,status,published_at,created_at,updated_at,is_active) '
                         'comments(id,post_id,created_at,is_active)"}]');

    -- is_active, deleted_at, triggers for updated_at, audit, and the views active_posts and active_comments
    PERFORM usher.enable_entity('blog.posts'), usher.enable_entity('blog.comments');
    PERFORM usher.enable_audit('blog.user_profiles');
    PERFORM usher.add_unique_among_active('blog.posts', '{user_id,title}');
    -- user_id is the scope: whoever has post:publish for their own id publishes what they wrote
    PERFORM usher.apply_machine_preset('post');
    PERFORM usher.attach_machine('post', 'blog.posts', 'status',
        '{"version_column": "version", "scope_column": "user_id",
        "event_prefix": "post", "payload_columns": ["title", "user_id"]}');
    CREATE TRIGGER published_at BEFORE UPDATE ON blog.posts FOR EACH ROW EXECUTE FUNCTION blog.set_published_at();
    GRANT SELECT ON blog.active_posts, blog.active_comments TO blog_app;
    PERFORM usher.subscribe('post.published', 'newsletter', mode => 'async');

END
$$;
RESET ROLE;

-- ---- functions of the application; over HTTP, too. They run as blog_app, whoever calls, so that the policies hold --

CREATE OR REPLACE FUNCTION blog.create_post(title text, content text DEFAULT '', OUT post_id uuid, OUT status text,
                                            OUT version integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO blog.posts AS p (user_id, title, content)
    VALUES (usher.current_user_id(), create_post.title, create_post.content)
    RETURNING p.id, p.status, p.version INTO post_id, status, version;
END
$$;
COMMENT ON FUNCTION blog.create_post(text, text) IS 'Writes a draft (post:create).';

CREATE OR REPLACE FUNCTION blog.change_post(post_id uuid, title text DEFAULT NULL, content text DEFAULT NULL,
                                            status text DEFAULT NULL, expected_version integer DEFAULT NULL,
                                            OUT new_status text, OUT version integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE blog.posts AS p SET title = coalesce(change_post.title, p.title),
        content = coalesce(change_post.content, p.content),
        status = coalesce(change_post.status, p.status), version = coalesce(expected_version, p.version)
    WHERE p.id = change_post.post_id RETURNING p.status, p.version INTO new_status, version;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'post does not exist, or is not yours',
                                  jsonb_build_object('post_id', post_id));
    END IF;
END
$$;
COMMENT ON FUNCTION blog.change_post(uuid, text, text, text, integer) IS
    'Changes a post of one''s own, or with post:edit any. The machine post says which status may follow, and who may '
    'do it. Another version than expected_version, over HTTP If-Match: US003.';

CREATE OR REPLACE FUNCTION blog.list_posts(after uuid DEFAULT NULL, max_rows integer DEFAULT 20)
    RETURNS TABLE (id uuid, title text, author text, status text, published_at timestamptz, comments bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT p.id, p.title, coalesce((usher.user_reference(p.user_id)).name, 'somebody'), p.status, p.published_at,
           (SELECT count(*) FROM blog.comments c WHERE c.post_id = p.id AND c.is_active)
    FROM blog.posts p WHERE p.is_active AND (list_posts.after IS NULL OR p.id < list_posts.after)
    ORDER BY p.id DESC LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION blog.list_posts(uuid, integer) IS
    'Posts that one may see, newest first, in pages by key: after is the last id of the page before.';

CREATE OR REPLACE FUNCTION blog.add_comment(post_id uuid, content text, OUT comment_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO blog.comments AS c (post_id, user_id, content)
    VALUES (add_comment.post_id, usher.current_user_id(), add_comment.content) RETURNING c.id INTO comment_id;
END
$$;
COMMENT ON FUNCTION blog.add_comment(uuid, text) IS 'Comments on a published post (comment:create).';

CREATE OR REPLACE FUNCTION blog.list_comments(post_id uuid, after uuid DEFAULT NULL, max_rows integer DEFAULT 50)
    RETURNS TABLE (id uuid, author text, content text, is_hidden boolean, created_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT c.id, coalesce((usher.user_reference(c.user_id)).name, 'somebody'), c.content, c.is_hidden, c.created_at
    FROM blog.comments c JOIN blog.posts p ON p.id = c.post_id
    WHERE c.post_id = list_comments.post_id AND c.is_active
        AND (list_comments.after IS NULL OR c.id > list_comments.after)
    ORDER BY c.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION blog.list_comments(uuid, uuid, integer) IS 'Comments on a post that one may see, oldest first.';

CREATE OR REPLACE FUNCTION blog.moderate_comment(comment_id uuid, hide boolean, OUT hidden boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('comment:moderate');
    UPDATE blog.comments AS c SET is_hidden = hide WHERE c.id = comment_id RETURNING c.is_hidden INTO hidden;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'comment does not exist',
            jsonb_build_object('comment_id', comment_id));
    END IF;
END
$$;
COMMENT ON FUNCTION blog.moderate_comment(uuid, boolean) IS 'Hides a comment, or shows it again (comment:moderate).';

CREATE OR REPLACE FUNCTION blog.delete_comment(comment_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher.soft_delete_row('blog.comments', to_jsonb(comment_id)) THEN
        PERFORM usher.raise_error('unknown_reference', 'comment does not exist, or is not yours',
                                  jsonb_build_object('comment_id', comment_id));
    END IF;
END
$$;
COMMENT ON FUNCTION blog.delete_comment(uuid) IS 'Deletes a comment of one''s own, or with comment:moderate any.';

CREATE OR REPLACE FUNCTION blog.set_profile(bio text DEFAULT NULL, avatar_url text DEFAULT NULL, OUT profile_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO blog.user_profiles AS p (user_id, bio, avatar_url)
    VALUES (usher.current_user_id(), set_profile.bio, set_profile.avatar_url)
    ON CONFLICT (user_id) DO UPDATE SET bio = excluded.bio, avatar_url = excluded.avatar_url
        RETURNING p.id INTO profile_id;
END
$$;
COMMENT ON FUNCTION blog.set_profile(text, text) IS 'Says something about oneself.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA blog FROM PUBLIC;
SELECT format('ALTER FUNCTION %s OWNER TO blog_app', p.oid::regprocedure) FROM pg_proc p
WHERE p.pronamespace = 'blog'::regnamespace AND p.prosecdef AND p.proowner <> 'blog_app'::regrole
  AND p.proname IN ('create_post', 'change_post', 'list_posts', 'add_comment', 'list_comments', 'moderate_comment',
                    'delete_comment', 'set_profile') \gexec

-- ---- once: routes, accounts, data ----------------------------------------------------------------------------------

DO $$
DECLARE
    account record;
    made record;
BEGIN
    IF EXISTS (SELECT FROM usher.users WHERE id = '01900000-0000-7000-8000-0000000000b1') THEN
        RETURN;
    END IF;
    PERFORM usher.add_route('GET', '/posts', 'blog.list_posts(uuid,integer)', access => 'public', read_only => true,
        summary => 'Posts, newest first', tag => 'blog');
    PERFORM usher.add_route('POST', '/posts', 'blog.create_post(text,text)', success_status => 201,
        summary => 'Write a draft',
        tag => 'blog');
    PERFORM usher.add_route('PATCH', '/posts/{post_id}', 'blog.change_post(uuid,text,text,text,integer)',
        summary => 'Change, publish, archive', tag => 'blog');
    PERFORM usher.add_route('GET', '/posts/{post_id}/comments', 'blog.list_comments(uuid,uuid,integer)',
        access => 'public',
        read_only => true, summary => 'Comments on a post', tag => 'blog');
    PERFORM usher.add_route('POST', '/posts/{post_id}/comments', 'blog.add_comment(uuid,text)', success_status => 201,
        summary => 'Comment', tag => 'blog');
    PERFORM usher.add_route('PATCH', '/comments/{comment_id}', 'blog.moderate_comment(uuid,boolean)',
        permission => 'comment:moderate', summary => 'Hide a comment, or show it', tag => 'blog');
    PERFORM usher.add_route('DELETE', '/comments/{comment_id}', 'blog.delete_comment(uuid)', success_status => 204,
        summary => 'Delete a comment', tag => 'blog');
    PERFORM usher.add_route('PUT', '/profile', 'blog.set_profile(text,text)', summary => 'Say something about oneself',
        tag => 'blog');

    PERFORM usher.apply_role_preset('blog');
    FOR account IN SELECT * FROM (VALUES
        ('01900000-0000-7000-8000-0000000000b1'::uuid, 'admin', 'blog-admin-demo-1', 'Ada', 'admin'),
        ('01900000-0000-7000-8000-0000000000b2', 'edd', 'blog-editor-demo-1', 'Edd', 'editor'),
        ('01900000-0000-7000-8000-0000000000b3', 'ann', 'blog-author-demo-1', 'Ann', 'author'),
        ('01900000-0000-7000-8000-0000000000b4', 'rae', 'blog-reader-demo-1', 'Rae', 'reader')
        ) AS a (id, address, password, name, role)
    LOOP
        SELECT * INTO made FROM usher.import_user(account.address || '@blog.example',
            usher.hash_password(account.password),
            first_name => account.name, id => account.id);
        IF made.error IS NOT NULL THEN
            RAISE 'demo account %: %', account.address, made.error;
        END IF;
        IF account.role <> 'reader' THEN
            PERFORM usher.grant_role(account.id, account.role);
            PERFORM usher.revoke_role(account.id, 'reader');
        END IF;
    END LOOP;

    INSERT INTO blog.posts (id, user_id, title, content) VALUES
        ('01900000-0000-7000-8000-000000000c01', '01900000-0000-7000-8000-0000000000b3', 'Hello', 'The first one.'),
        ('01900000-0000-7000-8000-000000000c02', '01900000-0000-7000-8000-0000000000b3', 'Keys',
            'In the order of time.'),
        ('01900000-0000-7000-8000-000000000c03', '01900000-0000-7000-8000-0000000000b3', 'Not yet', 'A draft.');
    UPDATE blog.posts SET status = 'published' WHERE title IN ('Hello', 'Keys');
    INSERT INTO blog.comments (post_id, user_id, content)
    VALUES ('01900000-0000-7000-8000-000000000c01', '01900000-0000-7000-8000-0000000000b4', 'Welcome!');
    INSERT INTO blog.user_profiles (user_id, bio, avatar_url)
    VALUES ('01900000-0000-7000-8000-0000000000b3', 'Writes.', 'https://blog.example/ann.png');

    -- the registration says what each level may do; this hands it out
    PERFORM usher.grant_access('blog_app', 'application'), usher.grant_access('blog_migrations', 'admin'),
        usher.grant_access('blog_analytics', 'readonly');
END
$$;
\o
