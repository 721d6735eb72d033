#!/bin/sh
# Prints which share of each source's lines and branches the tests reached, out of the build in the current
# folder, and of each source folder as a whole; fails where a folder is below its floor.
# Usage: coverage.sh FLOORS
#        coverage.sh --prepare  before the tests: whoever runs a server's children can note what they reach
set -eu
# Of the archives and programs that are installed; what tests compile once more for themselves is left out.
objects() {
    find . -name "*.$1" \( -path '*/libkf_*' -o -path '*/mod_kinesis_forward*' -o -name 'kinesis_forward_dlq*' \) |
        grep '/src/\|/mod_kinesis' | sort
}
if test "$1" = --prepare; then
    objects gcno | sed 's/gcno$/gcda/' | while read -r data; do
        : >>"$data" && chmod 666 "$data"
    done
    exit 0
fi
objects gcda | while read -r data; do
    test -s "$data" || continue
    gcov -n -b -o "$(dirname "$data")" "$data" 2>/dev/null || echo "$data: gcov cannot read it" >&2
done | awk -v floors="$1" '
    function share(part, whole) { return whole ? 100 * part / whole : 100 }
    function judge(folder, what, floor, reached) {
        if (reached < floor) {
            printf "%s: %s are at %.2f%%, below their floor of %d%% in %s\n", folder, what, reached, floor, floors
            failed = 1
        } else if (int(reached - ROOM) > floor)
            printf "%s: the floor of %s can be raised from %d to %d\n", folder, what, floor, int(reached - ROOM)
    }
    # What a test reaches by chance is not to fail the next run.
    BEGIN { ROOM = 0.5 }
    /^File / {
        file = $2; gsub(/\047/, "", file)
        lines = reached = branches = taken = 0
        if (!sub(/^.*\/src\//, "src/", file) || file !~ /\.c$/) file = ""
        next
    }
    !file { next }
    { split($0, part, /[:% ]+/) }
    /^Lines executed:/ { lines = part[5]; reached = part[3] * lines / 100 }
    /^Taken at least once:/ { branches = part[7]; taken = part[5] * branches / 100 }
    /^(No calls|Calls executed)/ {
        folder = file; sub(/\/[^\/]*$/, "", folder)
        printf "%6.2f%% of %5d lines  %6.2f%% of %5d branches  %s\n", share(reached, lines), lines, \
            share(taken, branches), branches, file
        all_lines[folder] += lines; all_reached[folder] += reached
        all_branches[folder] += branches; all_taken[folder] += taken
        file = ""
    }
    END {
        print ""
        while ((getline row < floors) > 0) {
            if (row ~ /^#/ || split(row, floor, " ") != 3) continue
            folder = floor[1]; seen[folder] = 1
            if (!(folder in all_lines)) {
                print folder ": has floors in " floors " and was not reached at all"
                failed = 1
                continue
            }
            printf "%6.2f%% of %5d lines  %6.2f%% of %5d branches  %s\n", \
                share(all_reached[folder], all_lines[folder]), all_lines[folder], \
                share(all_taken[folder], all_branches[folder]), all_branches[folder], folder
            judge(folder, "lines", floor[2], share(all_reached[folder], all_lines[folder]))
            judge(folder, "branches", floor[3], share(all_taken[folder], all_branches[folder]))
        }
        for (folder in all_lines)
            if (!(folder in seen)) {
                printf "%s: has no floors in %s; lines %d, branches %d would do\n", folder, floors, \
                    share(all_reached[folder], all_lines[folder]) - ROOM, \
                    share(all_taken[folder], all_branches[folder]) - ROOM
                failed = 1
            }
        exit failed
    }'
