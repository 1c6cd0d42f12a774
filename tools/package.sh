#!/bin/sh
# ./dev package: Debian packages of this checkout, for each PostgreSQL that this release of Debian has, in $BUILD/package. A source
# package as well: what the gateway's build would fetch lies in it, so that it builds anywhere, without a network.
# usage: package.sh [ARGUMENT of dpkg-buildpackage...]
set -eu
version=$(sed -n '/^  "version":/{s/.*: "\(.*\)".*/\1/p;q}' "$SRC/META.json")
name=usher-$version
work=$BUILD/package

# A release's date is the one of its newest commit, so that the same sources make the same packages.
changelog() { # DATE
    cat <<CHANGES
usher ($version-1) unstable; urgency=medium

  * Version $version: see CHANGELOG.md.

 -- $(sed -n 's/^Maintainer: //p' deploy/debian/control.in)  $1
CHANGES
}

rm -rf "$work"
mkdir -p "$work/$name"
cd "$SRC"
date=$(git -c safe.directory="$SRC" log -1 --format=%cD 2>/dev/null) || date=$(date -R)
sh "$SRC/tools/files.sh" | tar -cf - --no-recursion -T - | tar -C "$work/$name" -xf -
cd "$work"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$date" -czf "usher_$version.orig.tar.gz" "$name"
cd "$name"
cp -R deploy/debian debian
changelog "$date" > debian/changelog
gateway/fetch-httplib "$BUILD/gateway" > /dev/null
gateway/make-pages "$BUILD/gateway/pages"
mkdir -p debian/vendor/swagger-ui
cp -R "$BUILD/gateway/httplib/include" debian/vendor/httplib
cp "$BUILD/gateway/httplib/LICENSE" debian/vendor/httplib/
for file in swagger-ui.css swagger-ui-bundle.js LICENSE; do
    cp "$BUILD/gateway/pages/npm/node_modules/swagger-ui-dist/$file" debian/vendor/swagger-ui/
done
pg_buildext updatecontrol
DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:+$DEB_BUILD_OPTIONS }parallel=${JOBS:-2}" dpkg-buildpackage --no-sign "$@"
ls "$work"/*.deb
