#!/bin/sh
# test_dist.sh ARCHIVE: the archive makes itself again to the byte, in another folder and under another mask,
# and so it does when all its files have other times and SOURCE_DATE_EPOCH says which one is meant.
set -eu

first=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# again NAME MASK EPOCH TAR-FLAG...: unpacks and packs it, into $work/NAME
again() {
    mkdir -p "$work/$1/sources" "$work/$1/build"
    (
        umask "$2"
        SOURCE_DATE_EPOCH=$3
        export SOURCE_DATE_EPOCH
        cd "$work/$1/build"
        name=$1
        shift 3
        tar -xJf "$first" -C ../sources "$@"
        ../sources/*/configure --quiet PYTHON="${KF_PYTHON:-}" >configure.out 2>&1 &&
            make -s dist >dist.out 2>&1
    ) || {
        cat "$work/$1"/build/*.out >&2
        echo "not ok - make dist in $1"
        exit 1
    }
    archive=$(ls "$work/$1"/build/mod_kinesis_forward-*.tar.xz)
}

list() {
    tar -tvf "$1" --numeric-owner --full-time
}

same() {
    if ! cmp "$first" "$archive"; then
        list "$first" >"$work/first.list"
        list "$archive" >"$work/again.list"
        diff "$work/first.list" "$work/again.list" | head -n 20
        echo "not ok - $1"
        exit 1
    fi
    echo "ok - $1"
}

again unpacked 077 ''
same "out of itself, in another folder, under another mask"
epoch=$(date -d "$(list "$first" | awk 'NR == 1 { print $4, $5 }')" +%s)
again touched 002 "$epoch" --touch
same "with other times of all files"

if list "$first" | grep -vE '^[-d]rw[-x]r-[-x]r-[-x] 0/0 '; then
    echo "not ok - owners and modes"
    exit 1
fi
echo "ok - owners and modes"
if test "$(list "$first" | awk '{ print $4, $5 }' | sort -u | wc -l)" != 1; then
    echo "not ok - one time for all files"
    exit 1
fi
echo "ok - one time for all files"
