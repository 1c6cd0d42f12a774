#!/bin/sh
# The story of the blog over HTTP, with curl: an account, roles, posts, comments, pages, a profile, moderation, versions, sessions, export
# and erasure; and what is refused.
#
#     USHER_URL=http://127.0.0.1:8080 PSQL='./dev psql --system blog' sh examples/blog/story.sh
#
# USHER_URL is the gateway; PSQL reads the database as a superuser, which is where the mail is. Stops at the first surprise.
set -eu

expect() { # WHAT GOT EXPECTED
    [ "$2" = "$3" ] || { printf 'surprise: %s is %s instead of %s\n' "$1" "$2" "$3" >&2; exit 1; }
    printf 'ok: %s\n' "$1"
}
sql() { $PSQL -XqAt -c "$1"; }
# call METHOD PATH [JSON [HEADER]]: with $token, if there is one; the body is in $body, its status in $status
token=
call() {
    set -- "$1" "$2" "${3:-}" "${4:-x-story: blog}"
    answer=$(curl -s -X "$1" "$USHER_URL$2" -w '\n%{http_code}' -H 'user-agent: blog/1.0' -H "$4" \
        ${token:+-H "authorization: Bearer $token"} ${3:+-H 'content-type: application/json' -d "$3"})
    status=${answer##*
}
    body=${answer%
*}
}
# The first member of the body with this name: a text, a number or a truth.
member() { printf '%s' "$body" | grep -o '"'"$1"'": *\("[^"]*"\|[^",}]*\)' | head -n 1 | sed 's/^"[^"]*": *//; s/^"//; s/"$//'; }
# All of them, in their order.
members() { printf '%s' "$body" | grep -o '"'"$1"'": *"[^"]*"' | sed 's/^"[^"]*": *"//; s/"$//' | tr '\n' ' ' | sed 's/ $//'; }
refused() { # WHAT STATUS CODE: what the last call answered
    expect "$1" "$status $(member code)" "$2 $3"
}
login() { # IDENTIFIER PASSWORD: sets token
    call POST /auth/login "{\"identifier\": \"$1\", \"password\": \"$2\"}"
    token=$(member access_token)
}
newcomer() { # NAME: opens an account, proves its address, logs in; sets token and me
    token=
    call POST /auth/register "{\"email\": \"$1@blog.example\", \"password\": \"a long password of $1\", \"first_name\": \"$1\"}"
    expect "registration of $1" "$status" 202
    mail=$(sql "SELECT payload ->> 'token' FROM usher.events WHERE event = 'user.email_verification_requested'
                AND payload ->> 'email' = '$1@blog.example' ORDER BY id DESC LIMIT 1")
    call POST /auth/verify-email "{\"token\": \"$mail\", \"password\": \"a long password of $1\"}"
    login "$1@blog.example" "a long password of $1"
    call GET /auth/me
    expect "role of $1" "$(member role)" reader
    me=$(member user_id)
}

run=$(od -An -N5 -tx1 /dev/urandom | tr -d ' \n')

echo '--- two newcomers; an administrator makes one of them an author, who publishes what is hers'
newcomer "una$run"
una=$me una_token=$token
newcomer "raf$run"
raf=$me raf_token=$token
call POST /posts '{"title": "Mine"}'
refused 'a post by a reader' 403 not_permitted
call POST "/users/$raf/roles" '{"role": "author"}'
refused 'a role for oneself' 403 not_permitted
login admin@blog.example blog-admin-demo-1
admin=$token
call POST "/users/$una/roles" '{"role": "author"}'
expect 'author' "$status" 204
call POST "/users/$una/permissions" "{\"permission\": \"post:publish\", \"scope\": \"$una\"}"
expect 'who publishes her own' "$status" 204

echo '--- posts'
token=$una_token
call POST /posts '{"title": "First", "content": "Hello"}'
expect 'a draft' "$status $(member status)" '201 draft'
first=$(member post_id) version=$(member version)
call POST /posts '{"title": "First"}'
refused 'a title twice' 409 conflict
call POST /posts '{"title": ""}'
refused 'no title' 400 invalid_value
call POST /posts '{"title": "X", "colour": "red"}'
refused 'an argument that there is not' 422 invalid_arguments
token=
call GET "/posts?max_rows=100"
expect 'drafts that everybody sees' "$(printf '%s' "$body" | grep -c "$first" || true)" 0
token=$una_token
call PATCH "/posts/$first" '{"status": "published"}' "if-match: \"$version\""
expect 'publishing' "$status $(member new_status)" '200 published'
call PATCH "/posts/$first" '{"status": "draft"}' "if-match: \"$version\""
expect 'with the old version' "$status" 412
call PATCH "/posts/$first" '{"status": "lost"}'
expect 'a status that there is not' "$status" 409
token=
call GET "/posts?max_rows=1"
expect 'the newest, for everybody' "$(member id) $(member author)" "$first una$run"

echo '--- comments, and an editor who moderates'
call POST "/posts/$first/comments" '{"content": "Nice"}'
refused 'a comment by nobody' 401 authentication_required
token=$raf_token
call POST "/posts/$first/comments" '{"content": "Nice"}'
expect 'a comment' "$status" 201
comment=$(member comment_id)
call POST "/posts/$first/comments" '{"content": "Buy my watches"}'
spam=$(member comment_id)
call PATCH "/comments/$spam" '{"hide": false}'
refused 'moderation by a reader' 403 not_permitted
login edd@blog.example blog-editor-demo-1
edd=$token
call PATCH "/comments/$spam" '{"hide": true}'
expect 'hidden' "$status $(member hidden)" '200 true'
token=
call GET "/posts/$first/comments"
expect 'comments that everybody sees' "$(members content)" Nice
token=$una_token
call DELETE "/comments/$comment"
refused 'deleting the comment of somebody else' 404 unknown_reference
token=$raf_token
call DELETE "/comments/$comment"
expect 'deleting one''s own' "$status" 204
token=
call GET "/posts/$first/comments"
expect 'comments left' "$(members content)" ''

echo '--- pages: of two, from cursor to cursor'
token=$una_token
for n in 1 2 3; do
    call POST /posts "{\"title\": \"Page $n\"}"
    call PATCH "/posts/$(member post_id)" '{"status": "published"}'
done
token=
call GET '/posts?max_rows=2'
expect 'the first page' "$(members title)" 'Page 3 Page 2'
cursor=$(member next)
call GET "/posts?max_rows=2&cursor=$cursor"
expect 'the second page' "$(members title)" 'Page 1 First'
call GET '/posts?max_rows=0'
expect 'a page of nothing' "$status" 422
call GET '/posts?cursor=made-up'
refused 'a cursor that was made up' 422 invalid_arguments

echo '--- a profile; sessions'
token=$una_token
call PUT /profile '{"bio": "Writes", "avatar_url": "https://blog.example/una.png"}'
expect 'a profile' "$status" 200
login "una$run@blog.example" "a long password of una$run"
call POST /auth/sessions/logout-all
expect 'all sessions end' "$status" 200
call GET /auth/me
refused 'this one' 401 token_revoked
login "una$run@blog.example" "a long password of una$run"

echo '--- she leaves: export, deletion, erasure'
call GET "/users/$una/export"
expect 'her posts are in the export' "$(printf '%s' "$body" | grep -o 'Page [0-9]' | sort -u | tr '\n' ' ')" 'Page 1 Page 2 Page 3 '
call DELETE "/users/$una"
expect 'deleted' "$status" 204
token=$admin
call POST "/users/$una/erase"
expect 'erased' "$status" 204
token=
call GET '/posts?max_rows=1'
expect 'her posts stay, without a name' "$(member title) $(member author)" 'Page 3 somebody'
expect 'her profile' "$(sql "SELECT count(*) FROM blog.user_profiles WHERE user_id = '$una'")" 0
token=$edd
for post in $(sql "SELECT id FROM blog.posts WHERE user_id IS NULL AND title LIKE 'Page %' AND status = 'published'"); do
    call PATCH "/posts/$post" '{"status": "archived"}'
    expect 'archived' "$status" 200
done

echo '--- the log is for those who may read it'
call GET "/audit?actor_id=$una"
refused 'the log, for an editor' 403 not_permitted
token=$admin
call GET "/audit?resource_type=blog.posts&resource_id=$first&max_rows=100"
expect 'what happened to the first post' "$status $(printf '%s' "$body" | grep -o '"action": *"insert"' | grep -c .)" '200 1'

echo 'the whole story came out as it should'
