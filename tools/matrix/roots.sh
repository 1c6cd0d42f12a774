# Sourced by the scripts that work in a Debian of their own, after tools/lib.sh. Expects $here, the checkout.
#
# A root is a folder with a whole Debian below $ROOTS. It is made by mmdebstrap from the mirrors that this machine uses, kept, and used
# again for two weeks; `./dev matrix clean` removes all of them. What runs in one has its own mounts and processes, and all of them end
# with the command.

ROOTS=${USHER_ROOTS:-/var/tmp/usher-roots}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
PGDG_KEYRING=/usr/share/postgresql-common/pgdg/apt.postgresql.org.gpg

# The mirror of Debian that this machine uses for its own release.
mirror() {
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        sed -n "s|^$(. /etc/os-release; echo "$VERSION_CODENAME") ||p" | head -n 1
}

# Lines of sources.list for a release: all that this machine has of its own (updates and security too), the main one of another.
sources_of() { # SUITE
    own_=$(. /etc/os-release; echo "$VERSION_CODENAME")
    if [ "$1" = "$own_" ]; then
        apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
            sed -n "s|^\($own_[a-z-]*\) \(.*\)|deb [signed-by=$KEYRING] \2 \1 main|p" | sort -u
    else
        echo "deb [signed-by=$KEYRING] $(mirror) $1 main"
    fi
}

# Which release of Debian has this major of PostgreSQL.
suite_of() { # MAJOR
    case $1 in
        15) echo bookworm ;;
        16) echo bookworm-pgdg ;;
        17) echo trixie ;;
        18) echo forky ;;
        19) echo sid-experimental ;;
        *) return 1 ;;
    esac
}

# Makes $ROOTS/NAME with these packages, or adds those that one that is there lacks.
make_root() { # NAME SUITE PACKAGE...
    name_=$1 suite_=$2
    shift 2
    root_=$ROOTS/$name_
    if [ -f "$root_.made" ] && [ -z "$(find "$root_.made" -mtime +14)" ]; then
        has_=" $(tr '\n' ' ' < "$root_.made") "
        lacks_=
        for word_ in "$@"; do
            case $has_ in *" $word_ "*) ;; *) lacks_="$lacks_ $word_" ;; esac
        done
        # shellcheck disable=SC2086
        [ -z "$lacks_" ] || add_to_root "$name_" $lacks_ || return 1
        return 0
    fi
    remove_root "$name_"
    mkdir -p "$ROOTS"
    stamp_="$*"
    packages_=$(IFS=,; echo "ca-certificates,$*")
    sources_=$(sources_of "${suite_%-*}")
    pins_=
    case $suite_ in
        *-pgdg)
            [ -r "$PGDG_KEYRING" ] || { echo "no $PGDG_KEYRING (package postgresql-common)" >&2; return 1; }
            sources_="$sources_
deb [signed-by=$PGDG_KEYRING] https://apt.postgresql.org/pub/repos/apt $suite_ main" ;;
        *-experimental) # of which nothing comes by itself: PostgreSQL, with its libraries, and no more
            sources_="$sources_
$(sources_of experimental)"
            pins_="Package: src:postgresql-${name_##*-}
Pin: release a=experimental
Pin-Priority: 500" ;;
    esac
    # No service starts, PostgreSQL comes without a cluster, and nothing waits for the disk. A release that is still in the making may be
    # past the date that its mirror promised.
    printf '%s\n' "$sources_" | mmdebstrap --quiet --variant=apt --include="$packages_" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io --dpkgopt=path-exclude=/usr/share/locale/* --dpkgopt=path-exclude=/usr/share/info/* \
        --setup-hook='mkdir -p "$1/etc/postgresql-common" "$1/usr/sbin"' \
        --setup-hook='echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"' \
        --setup-hook="[ -z '$pins_' ] || echo '$pins_' > \"\$1/etc/apt/preferences.d/usher\"" \
        --setup-hook='printf "#!/bin/sh\nexit 101\n" > "$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
        --customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb' \
        "${suite_%-*}" "$root_" - > "$root_.log" 2>&1 || { tail -n 20 "$root_.log" >&2; return 1; }
    cp /etc/resolv.conf "$root_/etc/resolv.conf"
    # what this machine trusts besides Debian's own certificates, a proxy's say
    for certificate in /usr/local/share/ca-certificates/*.crt; do
        [ ! -f "$certificate" ] || cp "$certificate" "$root_/usr/local/share/ca-certificates/"
    done
    in_root "$name_" update-ca-certificates >> "$root_.log" 2>&1
    echo "$stamp_" > "$root_.made"
}
add_to_root() { # NAME PACKAGE...
    name_=$1
    shift
    { in_root "$name_" apt-get -q update && in_root "$name_" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install "$@"; } \
        >> "$ROOTS/$name_.log" 2>&1 || { tail -n 20 "$ROOTS/$name_.log" >&2; return 1; }
    echo "$*" >> "$ROOTS/$name_.made"
}

remove_root() { # NAME
    rm -rf --one-file-system "${ROOTS:?}/$1"
    rm -f "$ROOTS/$1.made" "$ROOTS/$1.log"
}

# Runs a command in a root, as root there.
in_root() { # NAME COMMAND...
    root_=$ROOTS/$1
    shift
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --pid --fork --kill-child sh -c '
        root=$1
        shift
        mount --make-rprivate / 2>/dev/null || true
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/dev"
        for device in null zero full random urandom tty; do
            : > "$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        mkdir -m 1777 "$root/dev/shm"
        mkdir -p "$root/run/systemd" # systemd-analyze wants it to be there, and an ordinary user cannot make it
        ln -s /proc/self/fd "$root/dev/fd"
        ln -s /proc/self/fd/0 "$root/dev/stdin"
        ln -s /proc/self/fd/1 "$root/dev/stdout"
        ln -s /proc/self/fd/2 "$root/dev/stderr"
        exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb "$@"
    ' sh "$root_" "$@"
}

# The sources of the checkout, without what is built, into a folder of a root.
sources_into() { # NAME FOLDER
    mkdir -p "$ROOTS/$1$2"
    SRC=$here sh "$here/tools/files.sh" | tar -C "$here" -cf - --no-recursion -T - | tar -C "$ROOTS/$1$2" --no-same-owner -xf -
}

# The root of a major, with all that builds usher and its packages, and the sources in /usher, owned by an ordinary user.
major_root() { # MAJOR [PACKAGE...]
    major_=$1
    shift
    # of RUN_PACKAGES, not those of the major of this machine
    # shellcheck disable=SC2046,SC2086
    set -- $(printf '%s\n' $RUN_PACKAGES | grep -vx -e "postgresql-$PG_MAJOR" -e "postgresql-server-dev-$PG_MAJOR" -e ca-certificates) \
        $TEST_PACKAGES $PACKAGING_PACKAGES nodejs npm "$@"
    make_root "$major_" "$(suite_of "$major_")" "postgresql-$major_" "postgresql-server-dev-$major_" "$@" || return 1
    # what was built stays; files that are gone from the sources go
    find "$ROOTS/$major_/usher" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} + 2>/dev/null || true
    sources_into "$major_" /usher
    in_root "$major_" sh -c 'id builder > /dev/null 2>&1 || useradd --create-home builder; chown -R builder: /usher'
}
# There, as that user, in whom nothing can be installed: tests of programs that are missing are skipped. Not called usher: the search path
# begins with a schema of the user's name.
as_builder() { # MAJOR [NAME=VALUE...] COMMAND...
    major_=$1
    shift
    in_root "$major_" setpriv --reuid=builder --regid=builder --init-groups \
        env HOME=/home/builder USER=builder JOBS="${JOBS:-2}" COPT="${COPT:-}" PG_CONFIG="/usr/lib/postgresql/$major_/bin/pg_config" "$@"
}
