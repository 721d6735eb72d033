# The manual page of kinesis-forward-dlq, its page in docs and what it says itself name the same commands
# and options, and the formatter has nothing to complain of.

cd "${KF_SRCDIR:-.}" || exit 99
program=${KF_BUILDDIR:-.}/kinesis-forward-dlq
page=docs/kinesis-forward-dlq.1
status=0

complain() {
    echo "$@"
    status=1
}

of_program() {
    help | grep -oE -e '--[a-z]+' | sort -u
    help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' | sort -u
}

help() {
    "$program" --help
}

of_manual() {
    sed -n '/^\.It Fl/p' $page | grep -oE 'Fl -[a-z]+' | sed 's/Fl -/--/' | sort -u
    sed -n 's/^\.It Cm \([a-z]*\)$/\1/p' $page | sort -u
}

of_markdown() {
    grep -oE -e '--[a-z]+' docs/kinesis-forward-dlq.md | sort -u
    sed -n 's/^| `\([a-z]*\)[ `].*/\1/p' docs/kinesis-forward-dlq.md | sort -u
}

if ! test -x "$program"; then
    complain "$program is not built"
fi
words=$(of_program)
if test "$(printf '%s\n' "$words" | wc -l)" -lt 12; then
    complain "--help names too little: $words"
fi
for word in $words; do
    if ! of_manual | grep -qxFe "$word"; then
        complain "$page does not explain $word, which --help names"
    fi
    case $word in --help | --version) continue ;; esac
    if ! of_markdown | grep -qxFe "$word"; then
        complain "docs/kinesis-forward-dlq.md does not explain $word, which --help names"
    fi
done
for word in $(of_manual) $(of_markdown); do
    if ! printf '%s\n' "$words" | grep -qxFe "$word"; then
        complain "$word is explained, but --help does not name it"
    fi
done

if command -v mandoc >/dev/null 2>&1; then
    mandoc -Tlint -Wwarning $page || status=1
fi
if command -v man >/dev/null 2>&1; then
    warnings=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z $page 2>&1 >/dev/null)
    test -z "$warnings" || complain "$warnings"
fi
exit $status
