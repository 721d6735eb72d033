#!/bin/sh
# The time of the sources in FOLDER, in seconds since 1970: what archives and packages made of them
# are dated with, so that the same sources give the same bytes. SOURCE_DATE_EPOCH, else the last
# commit's time, else (in an unpacked archive, where all files have the archive's time) configure.ac's.
set -eu
folder=${1:-.}
if test -n "${SOURCE_DATE_EPOCH:-}"; then
    echo "$SOURCE_DATE_EPOCH"
elif test -e "$folder/.git" && git -c safe.directory='*' -C "$folder" log -1 --format=%ct 2>/dev/null; then
    :
else
    stat -c %Y "$folder/configure.ac"
fi
