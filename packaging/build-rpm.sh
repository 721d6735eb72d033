#!/bin/sh
# build-rpm.sh ARCHIVE FOLDER: makes the RPM packages, source and binary, of an archive that
# "make dist" made, into FOLDER. RPM_RELEASE (1) is the release. Where the system itself is not made
# of RPM packages (Debian has rpmbuild in its package rpm) nobody checks what the build needs.
set -eu

archive=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")

if ! command -v rpmbuild >/dev/null 2>&1; then
    echo "rpmbuild is missing: dnf install rpm-build, on Debian apt-get install --no-install-recommends rpm" >&2
    exit 1
fi

name=$(basename "$archive" .tar.xz)
version=${name#mod_kinesis_forward-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir "$work/SOURCES" "$work/SPECS"
cp "$archive" "$work/SOURCES"
tar -xJf "$archive" -C "$work"
SOURCE_DATE_EPOCH=$(sh "$work/$name/build-aux/source_date.sh" "$work/$name")
export SOURCE_DATE_EPOCH
sed -e "s/@VERSION@/$version/" -e "s/@RELEASE@/${RPM_RELEASE:-1}/" \
    "$work/$name/packaging/rpm/mod_kinesis_forward.spec.in" >"$work/SPECS/mod_kinesis_forward.spec"

set -- --define "_topdir $work" --define "use_source_date_epoch_as_buildtime 1"
if test -e /etc/debian_version; then
    set -- "$@" --nodeps
fi
if test "${RPM_CHECK:-yes}" = no; then
    set -- "$@" --nocheck
fi
rpmbuild -ba "$@" "$work/SPECS/mod_kinesis_forward.spec"
find "$work/RPMS" "$work/SRPMS" -name '*.rpm' -exec cp {} "$folder" \;
