#!/bin/sh
# Files as arrays of C, on standard output: assets.sh FILE... The version of
# each is its checksum, so that a browser that keeps it asks for a changed one.

set -eu
LC_ALL=C
export LC_ALL

rows=
for file in "$@"; do
    name=${file##*/}
    id=$(printf '%s' "$name" | tr -c 'a-z0-9' _)
    case $name in
        *.css) type='text/css; charset=utf-8' ;;
        *.js) type='text/javascript; charset=utf-8' ;;
        *.svg) type='image/svg+xml' ;;
        *) echo "assets.sh: what type is $name of?" >&2; exit 1 ;;
    esac
    version=$(cksum <"$file" | awk '{ print $1 }')
    echo "static const unsigned char bytes_$id[] = {"
    od -An -v -tu1 <"$file" | awk '{ gsub(/[ \t]+/, " "); sub(/^ /, ""); gsub(/ /, ","); if (length) print $0 "," }'
    echo "};"
    rows="$rows    {\"$name\", \"$type\", \"$version\", bytes_$id, sizeof bytes_$id},
"
done
printf 'static const kf_asset_t files[] = {\n%s};\n' "$rows"
