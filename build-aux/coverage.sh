#!/bin/sh
# Prints the line coverage of each source of the build in the current folder.
set -eu
if command -v gcovr >/dev/null 2>&1; then
    exec gcovr --print-summary --filter '.*/src/' .
fi
find . -name '*.gcda' ! -path './t/*' | sort | while read -r data; do
    gcov -n -o "$(dirname "$data")" "$data" 2>/dev/null
done | awk '
    /^File / { file = $2; gsub(/\047/, "", file); next }
    /^Lines executed:/ && file ~ /src\/.*\.c$/ {
        split($0, part, /[:% ]+/)
        percent = part[3]; lines = part[5]
        sub(/^.*\/src\//, "src/", file)
        printf "%6.2f%% of %5d  %s\n", percent, lines, file
        covered += percent * lines / 100; all += lines
    }
    { file = "" }
    END { if (all) printf "%6.2f%% of %5d  all\n", 100 * covered / all, all }'
