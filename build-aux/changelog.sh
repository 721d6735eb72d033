#!/bin/sh
# The changelog, out of one fragment a change (changes/README.md says how they look):
#
#   changelog.sh check            whether all fragments are as they should be
#   changelog.sh print VERSION    what the next section of CHANGES.md will be
#   changelog.sh release VERSION  put that section into CHANGES.md, remove the fragments
#
# It is dated with SOURCE_DATE_EPOCH, else with today.
set -eu
cd "$(dirname "$0")/.."
kinds='security added changed removed fixed'

say() {
    printf '%s\n' "$*" >&2
}

fragments() {
    find changes -type f ! -name README.md | LC_ALL=C sort
}

check() {
    status=0
    for file in $(fragments); do
        name=$(basename "$file" .md)
        case " $kinds " in
            *" ${name##*.} "*) ;;
            *)
                say "$file: its name should be changes/WHAT.KIND.md, KIND one of: $kinds"
                status=1
                ;;
        esac
        case $file in
            changes/*/* | *[!a-z0-9./_-]*)
                say "$file: lower case letters, digits, - and _, in changes/ itself"
                status=1
                ;;
        esac
        if ! test -s "$file" || test -n "$(tail -c 1 "$file")" || grep -qE '^([#[:space:]]|$)' "$file"; then
            say "$file: one paragraph, not indented, without a heading, with a line break at its end"
            status=1
        fi
    done
    return $status
}

# A fragment as an item of a list.
item() {
    sed -e '1s/^/- /' -e '2,$s/^\(.\)/  \1/' "$1"
}

section() {
    day=$(LC_ALL=C date -u ${SOURCE_DATE_EPOCH:+-d "@$SOURCE_DATE_EPOCH"} +%Y-%m-%d)
    printf '## %s (%s)\n' "$1" "$day"
    for kind in $kinds; do
        title=$(printf '%s' "$kind" | cut -c 1 | tr a-z A-Z)${kind#?}
        for file in $(fragments); do
            case $file in
                *".$kind.md")
                    if test -n "$title"; then
                        printf '\n### %s\n\n' "$title"
                        title=
                    fi
                    item "$file"
                    ;;
            esac
        done
    done
}

release() {
    if test -z "$(fragments)"; then
        say "there are no fragments in changes/: nothing has changed"
        exit 1
    fi
    if grep -qF "## $1 (" CHANGES.md; then
        say "CHANGES.md has a section of $1 already: raise the version in configure.ac first"
        exit 1
    fi
    {
        sed '/^## /,$d' CHANGES.md
        section "$1"
        if grep -q '^## ' CHANGES.md; then
            echo
            sed -n '/^## /,$p' CHANGES.md
        fi
    } >CHANGES.md.new
    mv CHANGES.md.new CHANGES.md
    fragments | xargs rm -f
}

case ${1:-},$# in
    check,1) check ;;
    print,2) check && section "$2" ;;
    release,2) check && release "$2" ;;
    *)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0" >&2
        exit 2
        ;;
esac
