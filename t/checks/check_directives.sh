# docs/directives.md is what src/base/kf_directives.def says: every directive and no other, in
# alphabetical order, each with the same description, syntax, default and context.

cd "${KF_SRCDIR:-.}" || exit 99
LC_ALL=C
export LC_ALL
list=src/base/kf_directives.def
page=docs/directives.md
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

for file in $list $page configure.ac; do
    if ! test -s $file; then
        echo "$file is not there"
        exit 1
    fi
done
statedir=$(sed -n 's/^ *\[statedir=\(\/[^]]*\)\])$/\1/p' configure.ac)
if test -z "$statedir"; then
    echo "configure.ac: the default of --with-statedir was not found"
    exit 1
fi

# What the list says: name, a tab, the field and its text; in the order of the page.
awk -v statedir="$statedir" '
    function fail(why) { print "list:" FNR ": " why; failed = 1 }
    /^KF_DIRECTIVE\(/ {
        rest = $0
        sub(/^KF_DIRECTIVE\(/, "", rest)
        scope = rest
        sub(/,.*/, "", scope)
        if (rest ~ /, KF_STATEDIR, /)
            sub(/, KF_STATEDIR, /, ", \"" statedir "\", ", rest)
        # name, default, syntax and help are the four strings of a row.
        if (split(rest, part, "\"") != 9 || part[9] != ")") { fail("not a row in one line"); next }
        name = part[2]; def = part[4]; syntax = part[6]; help = part[8]
        numbers = part[5]
        sub(/^, /, "", numbers)
        min = numbers
        sub(/,.*/, "", min)
        if (def == "none") def = "none"
        else if (def == "0" && min != "0") def = "*"
        else def = "`" name " " def "`"
        if (scope == "CONN") context = "server config, `<KinesisConnection>`"
        else if (scope == "CONN1") context = "`<KinesisConnection>`"
        else if (scope == "SERVER") context = "server config"
        else if (scope == "LOCATION") context = "server config, virtual host, directory"
        else { fail("unknown scope " scope); next }
        print name "\tDescription: " help
        print name "\tSyntax: `" name " " syntax "`"
        print name "\tDefault: " def
        print name "\tContext: " context
        print name "\tStatus: External"
        print name "\tModule: mod_kinesis_forward"
        rows++
    }
    END { if (failed || rows < 50) { print "list: " rows + 0 " rows"; exit 1 } }
' $list >"$work/list" || {
    grep '^list:' "$work/list" | sed "s|^list|$list|"
    exit 1
}

# What the page says, in the same form; the section of connections is no directive of the list.
awk '
    /^## [^`]/ { name = $2; known[name]++; lines = 0; prose = 0; order = order name "\n"; next }
    /^## / { name = ""; next }
    name == "" || name == "Summary" { next }
    /^- (Description|Syntax|Default|Context|Status|Module): / { sub(/^- /, ""); print name "\t" $0; next }
    /^- Compatibility: ./ { compatible[name] = 1; next }
    /^[^-]/ { described[name] = 1 }
    END {
        for (name in known) {
            if (name == "Summary") continue
            if (known[name] > 1) print "page: " name " stands there twice"
            if (!compatible[name]) print "page: " name " has no Compatibility"
            if (!described[name]) print "page: " name " has no text"
        }
    }
' $page >"$work/page"

status=0
if grep '^page: ' "$work/page"; then
    status=1
fi
grep -v '^page: ' "$work/page" >"$work/said"
# A default that depends is described in words.
tab=$(printf '\t')
grep "${tab}Default: \*\$" "$work/list" | while IFS=$tab read -r name rest; do
    if ! grep "^$name${tab}Default: [^\`]" "$work/said" >/dev/null; then
        echo "$page: $name: the default depends and must be described in words"
    fi
    sed -i "s/^$name${tab}Default: .*/$name${tab}Default: */" "$work/said"
done >"$work/words"
if test -s "$work/words"; then
    cat "$work/words"
    status=1
fi
sort "$work/list" >"$work/wanted"
sort "$work/said" >"$work/found"
if ! diff "$work/wanted" "$work/found" >"$work/difference"; then
    sed -n "s|^< |$list has, $page has not: |p; s|^> |$page has, $list has not: |p" "$work/difference"
    status=1
fi
sed -n 's/^## \(Kinesis.*\)/\1/p' $page >"$work/order"
if ! sort -f -c "$work/order" 2>"$work/disorder"; then
    echo "$page: not in alphabetical order: $(sed 's/.*: //' "$work/disorder")"
    status=1
fi
if ! grep '^## `<KinesisConnection>`$' $page >/dev/null; then
    echo "$page: <KinesisConnection> is not described"
    status=1
fi
exit $status
