#!/bin/sh
# From a fresh clone to a configured tree: installs the Debian (or Ubuntu)
# packages that are missing, runs autoreconf and configure. GNUmakefile calls it
# while there is no Makefile.
#
# Arguments are handed to configure.

set -eu
cd "$(dirname "$0")/.."

# One package a word; "a|b" is satisfied by either, and a is installed where
# neither is there. Never apache2 itself: it starts a server on port 80.
packages='
    gcc|clang libc6-dev make autoconf automake libtool pkg-config|pkgconf
    apache2-bin apache2-dev libapr1-dev libaprutil1-dev
    libcurl4-openssl-dev|libcurl4-gnutls-dev libssl-dev libjansson-dev libsqlite3-dev
    libcmocka-dev clang-format openssl ca-certificates
    python3 python3-botocore python3-boto3 python3-pytest python3-pytest-xdist
    python3-hypothesis python3-cryptography python3-h2 strace
    python3-selenium python3-prometheus-client'

# The browser that the dashboard is tested in. Ubuntu has it as a snap only.
if grep -q '^ID=debian' /etc/os-release 2>/dev/null; then
    packages="$packages chromium chromium-driver fonts-dejavu-core"
fi

say() {
    printf '%s\n' "$*" >&2
}

installed() {
    test "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || :)" = installed
}

find_missing() {
    missing=
    for choice in $packages; do
        found=no
        for package in $(printf '%s' "$choice" | tr '|' ' '); do
            if installed "$package"; then
                found=yes
                break
            fi
        done
        if test $found = no; then
            missing="$missing ${choice%%|*}"
        fi
    done
    missing=${missing# }
}

# The names of the missing packages that apt can't install with the lists it has.
unknown_to_apt() {
    for package in $missing; do
        if ! LC_ALL=C apt-cache policy "$package" 2>/dev/null |
            grep 'Candidate: [^(]' >/dev/null; then
            printf '%s ' "$package"
        fi
    done
}

install_missing() {
    line="apt-get install -y --no-install-recommends $missing"
    as_root=
    if test "$(id -u)" != 0; then
        if ! command -v sudo >/dev/null 2>&1; then
            as_root=none
        elif sudo -n true 2>/dev/null; then
            as_root='sudo -n'
        elif test -t 2; then
            # sudo asks on the terminal.
            as_root=sudo
        else
            as_root=none
        fi
    fi
    if test "$as_root" = none; then
        say "These packages are missing, and installing them needs root. Run, as root:"
        say ""
        say "    apt-get update && $line"
        say ""
        say "and then make again."
        exit 1
    fi

    say "Installing: $missing"
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300"
    updated=no
    if test -n "$(unknown_to_apt)"; then
        $apt update </dev/null || say "apt-get update failed; trying with the lists that are there"
        updated=yes
    fi
    if ! $apt install -y --no-install-recommends $missing </dev/null; then
        # Lists that are out of date name files that are gone.
        if test $updated = no && $apt update </dev/null &&
            $apt install -y --no-install-recommends $missing </dev/null; then
            return
        fi
        say ""
        say "The packages could not be installed. By hand, as root:"
        say ""
        say "    apt-get update && $line"
        say ""
        say "and then make again."
        exit 1
    fi
}

# Prometheus' own check of the metrics. Only this program of its package, which
# would start a server.
get_promtool() {
    if command -v promtool >/dev/null 2>&1 || test -x build-aux/promtool; then
        return
    fi
    folder=$(mktemp -d)
    if (cd "$folder" && apt-get download prometheus >/dev/null 2>&1 &&
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool) &&
        test -s "$folder/promtool"; then
        cp "$folder/promtool" build-aux/promtool
        chmod 755 build-aux/promtool
    else
        say "promtool could not be got (package prometheus): make check will miss it."
    fi
    rm -rf "$folder"
}

if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
    find_missing
    if test -n "$missing"; then
        install_missing
    fi
    get_promtool
else
    say "No apt-get here: configure will say what is missing."
fi

# The archive of a release brings configure along; a clone's may be stale.
if test -e .git || ! test -x configure; then
    if ! command -v autoreconf >/dev/null 2>&1; then
        say "autoreconf is missing (autoconf, automake, libtool, pkg-config)."
        exit 1
    fi
    autoreconf -fi
fi
./configure "$@"
