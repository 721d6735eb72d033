#!/bin/sh
# build-deb.sh ARCHIVE FOLDER: makes the Debian packages, source and binary, of an archive that
# "make dist" made, into FOLDER. DEB_REVISION (1) is the revision; DEBFULLNAME and DEBEMAIL are who
# makes it. DEB_BUILD_OPTIONS as in Debian: nocheck leaves the unit tests out.
set -eu

archive=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
source=libapache2-mod-kinesis-forward
maintainer="${DEBFULLNAME:-mod_kinesis_forward maintainers} <${DEBEMAIL:-mod-kinesis-forward@example.org}>"

for tool in dpkg-buildpackage dh dh_apache2; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "$tool is missing: apt-get install --no-install-recommends dpkg-dev debhelper dh-apache2 fakeroot" >&2
        exit 1
    fi
done

name=$(basename "$archive" .tar.xz)
version=${name#mod_kinesis_forward-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cp "$archive" "$work/${source}_$version.orig.tar.xz"
tar -xJf "$archive" -C "$work"
cd "$work/$name"
SOURCE_DATE_EPOCH=$(sh build-aux/source_date.sh .)
export SOURCE_DATE_EPOCH

cp -R packaging/debian debian
sed "s|@MAINTAINER@|$maintainer|" debian/control.in >debian/control
rm debian/control.in
cat >debian/changelog <<END
$source ($version-${DEB_REVISION:-1}) unstable; urgency=medium

  * Version $version; CHANGES.md says what is new.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

if ! dpkg-buildpackage --unsigned-source --unsigned-changes; then
    echo "What the build needs is in packaging/debian/control.in (Build-Depends)." >&2
    exit 1
fi
cd ..
find . -maxdepth 1 -type f -exec cp {} "$folder" \;
