#!/bin/bash
# test_deb.sh ARCHIVE (make check-deb, as root): the Debian package, built out of "make dist"'s archive in a fresh
# Debian that has nothing but what the package says it needs, then looked at by lintian, installed, switched on,
# used, upgraded, removed and purged in another fresh one.
#
# What is used runs in a network of its own, in which there is loopback alone, and in a process tree of its own that
# ends with the test. KF_DEB_SUITE (bookworm) says which Debian, KF_DEB_MIRROR where from, KF_DEB_BASE names a
# folder that has been debootstrapped already; KF_DEB_KEEP=1 keeps the work folder.
set -euo pipefail

archive=$(realpath "$1")
root=${KF_SRCDIR:?run by make check-deb}
suite=${KF_DEB_SUITE:-bookworm}
package=libapache2-mod-kinesis-forward

for tool in debootstrap lintian dpkg-deb unshare ip; do
    if ! command -v $tool >/dev/null; then
        echo "$tool is missing: apt-get install --no-install-recommends debootstrap dpkg-dev lintian util-linux iproute2" >&2
        exit 1
    fi
done
if test "$(id -u)" != 0; then
    echo "check-deb makes a Debian in a folder, which only root may" >&2
    exit 1
fi

work=$(mktemp -d /var/tmp/kf-check-deb.XXXXXX)
leave() {
    if test "${KF_DEB_KEEP:-}" = 1; then
        echo "kept: $work"
    else
        rm -rf --one-file-system "$work"
    fi
}
trap leave EXIT

step() {
    echo "== $*"
}

quietly() {
    if ! "$@" >"$work/log" 2>&1; then
        tail -n 60 "$work/log" >&2
        echo "not ok - $*" >&2
        exit 1
    fi
}

inside() {
    local where=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-nocheck}" chroot "$work/$where" "$@"
}

step "a fresh $suite"
base=${KF_DEB_BASE:-}
if test -z "$base"; then
    base=$work/base
    quietly debootstrap --variant=minbase "$suite" "$base" ${KF_DEB_MIRROR:+"$KF_DEB_MIRROR"}
fi
for where in build used; do
    cp -a --reflink=auto "$base" "$work/$where"
    cp /etc/resolv.conf "$work/$where/etc/resolv.conf"
    # Nothing is started while packages are installed outside of the test's network.
    printf '#!/bin/sh\nexit 101\n' >"$work/$where/usr/sbin/policy-rc.d"
    chmod +x "$work/$where/usr/sbin/policy-rc.d"
    mkdir "$work/$where/kf"
    # Only how this machine reaches the mirror; other settings of its apt have no say.
    apt-config dump | grep -iE '^Acquire::[a-z:]*proxy[^ ]* "..*";$' >"$work/$where/etc/apt/apt.conf.d/99proxy" || :
done

step "build"
quietly inside build apt-get update
quietly inside build apt-get install -y --no-install-recommends dpkg-dev build-essential
mkdir "$work/sources"
tar -xJf "$archive" -C "$work/sources" --strip-components=1
cp "$archive" "$work/sources/packaging/build-deb.sh" "$work/build/kf/"
# What the package says it needs, and nothing else.
needs=$(sed -n '/^Build-Depends:/,/^[A-Z]/{s/^Build-Depends: *//;/^[A-Z]/d;p}' "$work/sources/packaging/debian/control.in" |
    tr -d '\n' | sed 's/<!nocheck>//')
mkdir -p "$work/build/kf/debian"
printf 'Source: needs\nMaintainer: A <a@example.org>\nBuild-Depends: %s\n\nPackage: needs\nArchitecture: all\nDescription: x\n' \
    "$needs" >"$work/build/kf/debian/control"
quietly inside build sh -c 'cd /kf && apt-get build-dep -y --no-install-recommends ./'
quietly inside build nice sh /kf/build-deb.sh "/kf/$(basename "$archive")" /kf/out
ls -l "$work/build/kf/out"

step "lintian"
changes=$(ls "$work"/build/kf/out/*.changes)
lintian --allow-root --fail-on error,warning --info --display-info --tag-display-limit 0 "$changes"
echo "ok - lintian has neither errors nor warnings"

step "the next version"
deb=$(ls "$work"/build/kf/out/${package}_*.deb)
version=$(dpkg-deb -f "$deb" Version)
# The same files under a higher version: what is tried is the upgrade, not another program.
dpkg-deb -R "$deb" "$work/next"
sed -i "s/^Version: .*/Version: $version+next/" "$work/next/DEBIAN/control"
quietly dpkg-deb --root-owner-group -b "$work/next" "$work/used/kf/next.deb"
cp "$deb" "$work/used/kf/this.deb"

step "installed and used"
quietly inside used apt-get update
quietly inside used apt-get install -y --no-install-recommends --download-only apache2 curl procps man-db /kf/this.deb
# From here on as on a machine that runs: maintainer scripts start and stop servers.
printf '#!/bin/sh\nexit 0\n' >"$work/used/usr/sbin/policy-rc.d"
KF_USED="$work/used" KF_NEXT="$version+next" KF_PACKAGE=$package KF_PYTHON=${KF_PYTHON:-/usr/bin/python3} KF_SRCDIR=$root \
    unshare --net --mount --pid --fork --kill-child --mount-proc bash "$root/t/packages/use_deb.sh"
echo "ok - $package $version: installed, used, upgraded, removed, purged"
