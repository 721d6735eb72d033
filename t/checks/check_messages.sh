# Message ids are unique, documented in docs/messages.md with the level, text and kind of alert of
# src/base/kf_messages.def, and used by the module; and no others are.

cd "${KF_SRCDIR:-.}" || exit 99
LC_ALL=C
export LC_ALL
list=src/base/kf_messages.def
page=docs/messages.md
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

for file in $list $page; do
    if ! test -s $file; then
        echo "$file is not there"
        exit 1
    fi
done

grep -c '^KF_MSG(' $list >"$work/rows"
sed -n 's/^KF_MSG(\([0-9][0-9][0-9][0-9]\), KF_\([A-Z]*\), \([A-Z]*\), "\([^"]*\)", "[^"]*")$/KF\1 \2 \3 \4/p' $list |
    awk '{ $2 = tolower($2); print }' >"$work/list"
if test "$(cat "$work/rows")" -lt 20 || test "$(cat "$work/rows")" != "$(wc -l <"$work/list" | tr -d ' ')"; then
    echo "$list: $(cat "$work/rows") rows, of which $(wc -l <"$work/list") could be read"
    exit 1
fi
status=0
for id in $(cut -d ' ' -f 1 "$work/list" | sort | uniq -d); do
    echo "$list: $id stands there twice"
    status=1
done
if ! sort -c -k 1,1 "$work/list" 2>/dev/null; then
    echo "$list: not in the order of the numbers"
    status=1
fi

# Each section of the page: id, level, kind of alert, text; and that cause and remedy are there.
awk '
    BEGIN {
        kind["no"] = "LOG"
        kind["an event, over at once"] = "EVENT"
        kind["until it is over"] = "STATE"
        kind["until it is over, or not met again after a restart"] = "FAULT"
    }
    function finish() {
        if (id == "") return
        print id " " level " " kind[alert] " " text
        if (!cause) print "page: " id " has no Cause"
        if (!remedy) print "page: " id " has no What to do"
    }
    /^## KF/ { finish(); id = $2; level = text = alert = ""; cause = remedy = 0; next }
    /^- Level: / { level = $3; next }
    /^- Alert: / { sub(/^- Alert: /, ""); alert = $0; next }
    /^- Text: / { sub(/^- Text: /, ""); text = $0; next }
    /^- Cause: ./ { cause = 1; next }
    /^- What to do: ./ { remedy = 1; next }
    END { finish() }
' $page >"$work/page"
if grep '^page: ' "$work/page"; then
    status=1
fi
grep -v '^page: ' "$work/page" >"$work/found"
if ! diff "$work/list" "$work/found" >"$work/difference"; then
    sed -n "s|^< |$list has, $page has not: |p; s|^> |$page has, $list has not: |p" "$work/difference"
    status=1
fi

grep -rhoE '\bKF[0-9]{4}\b' src mod_kinesis_forward.c --include='*.c' | sort -u >"$work/used"
cut -d ' ' -f 1 "$work/list" | sort -u >"$work/listed"
for id in $(comm -13 "$work/used" "$work/listed"); do
    echo "$id is used nowhere in the module"
    status=1
done
for id in $(comm -23 "$work/used" "$work/listed"); do
    echo "$id is used, but not in $list"
    status=1
done
exit $status
