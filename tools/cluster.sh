# Sourced by the scripts that need a server of their own. A cluster lives in one folder:
#   data/  the cluster   log  what it says   usher.conf  our settings   sockets  names the folder of its socket
# It listens on a unix socket in a folder that only its user may enter, and on no port; authentication is trust, since
# whoever can reach the socket owns the files anyway.

# What makes a server find extensions installed below ROOT, as lines of its configuration. A server before 18 that is not Debian's, one built
# from its source say, has no setting for it. It looks where its own files are, counted from its program: so a copy of it goes below ROOT,
# into folders of the same names, where what is installed with DESTDIR=ROOT lies among its own extensions.
extension_settings() { # ROOT
    libdir=$("$PG_CONFIG" --pkglibdir)
    sharedir=$("$PG_CONFIG" --sharedir)
    case $("$BINDIR/postgres" --describe-config | cut -f 1) in
        *extension_destdir*) echo "extension_destdir = '$1'" ;; # Debian's own, up to PostgreSQL 17
        *extension_control_path*) echo "extension_control_path = '$1$sharedir:\$system'" ;;
        *) copy_server "$1" || return 1 ;;
    esac
    echo "dynamic_library_path = '$1$libdir:$libdir'"
}
copy_server() { # ROOT
    ! cmp -s "$BINDIR/postgres" "$1$BINDIR/postgres" || return 0
    # one that runs keeps the files that it has open; the programs go last: the next call looks for them
    for folder_ in "$libdir" "$sharedir" "$BINDIR"; do
        mkdir -p "$1$folder_"
        cp -R --remove-destination "$folder_/." "$1$folder_/" || return 1
    done
}
# The programs of the server that finds what is installed below ROOT.
programs_below() { # ROOT
    if [ -x "$1$BINDIR/postgres" ]; then echo "$1$BINDIR"; else echo "$BINDIR"; fi
}

# Makes a cluster, unless it is there.
cluster_init() { # DIR
    [ ! -f "$1/data/PG_VERSION" ] || return 0
    mkdir -p "$1"
    rm -rf "$1/data.new"
    "$BINDIR/initdb" -D "$1/data.new" -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
        --no-instructions > "$1/initdb.log" 2>&1 || { cat "$1/initdb.log" >&2; return 1; }
    echo "include '$1/usher.conf'" >> "$1/data.new/postgresql.conf"
    mv "$1/data.new" "$1/data"
}

# A socket's whole path may have 107 bytes: a folder in a long path is replaced by one in the temporary folder.
socket_folder() { # DIR
    if [ "$(printf '%s' "$1/s" | wc -c)" -le 85 ]; then
        mkdir -p -m 0700 "$1/s"
        printf '%s' "$1/s" > "$1/sockets"
    elif ! [ -f "$1/sockets" ] || ! [ -O "$(cat "$1/sockets")" ]; then
        mktemp -d "${TMPDIR:-/tmp}/usher.XXXXXX" > "$1/sockets"
    fi
    cat "$1/sockets"
}

cluster_conninfo() { # DIR DATABASE
    printf "host='%s' port=5432 user=postgres dbname=%s" "$(cat "$1/sockets")" "$2"
}

cluster_runs() { [ -f "$1/data/postmaster.pid" ] && "$BINDIR/pg_ctl" -D "$1/data" status > /dev/null 2>&1; }

# Starts it with the settings on standard input; restarts it when they, or $2 (any text), differ from last time. Extensions are those
# installed below DIR/root.
cluster_start() { # DIR [STAMP]
    { cat
      echo "listen_addresses = ''"
      echo "port = 5432"
      echo "unix_socket_directories = '$(socket_folder "$1")'"
      echo "unix_socket_permissions = 0700"
      echo "# ${2:-}"
    } > "$1/usher.conf.new"
    if cmp -s "$1/usher.conf.new" "$1/usher.conf" && cluster_runs "$1"; then return 0; fi
    mv "$1/usher.conf.new" "$1/usher.conf"
    if cluster_runs "$1"; then "$BINDIR/pg_ctl" -D "$1/data" -w -m fast stop > /dev/null; fi
    # no inherited output: whoever waits for the end of ours must not wait for the server's
    "$(programs_below "$1/root")/pg_ctl" -D "$1/data" -w -t 60 -l "$1/log" start > "$1/start.log" 2>&1 < /dev/null || {
        cat "$1/start.log" >&2
        tail -n 20 "$1/log" >&2 || true
        return 1
    }
}

cluster_stop() { # DIR
    if cluster_runs "$1"; then "$BINDIR/pg_ctl" -D "$1/data" -w -m fast stop > /dev/null; fi
    if [ -f "$1/sockets" ]; then
        case $(cat "$1/sockets") in "$1"/*) ;; *) rmdir "$(cat "$1/sockets")" 2>/dev/null || true ;; esac
        rm -f "$1/sockets"
    fi
}

# psql on a cluster, for scripts: quiet, unaligned, stops at the first error.
cluster_psql() { # DIR DATABASE [ARG...]
    info=$(cluster_conninfo "$1" "$2")
    shift 2
    "$BINDIR/psql" -XqAt -v ON_ERROR_STOP=1 "$info" "$@"
}
