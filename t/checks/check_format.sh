# The C sources look as .clang-format says. Other versions of clang-format than
# the one that the sources were written with break lines elsewhere, so they are
# not asked.

version=14
cd "${KF_SRCDIR:-.}" || exit 99
tool=${KF_CLANG_FORMAT:-clang-format}
if ! command -v "$tool" >/dev/null 2>&1; then
    echo "clang-format is not installed"
    exit 77
fi
found=$("$tool" --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
if test "$found" != $version; then
    if command -v clang-format-$version >/dev/null 2>&1; then
        tool=clang-format-$version
    else
        echo "clang-format is version $found, not $version"
        exit 77
    fi
fi

status=0
for file in $(find src t ./*.c -type f -name '*.[ch]' 2>/dev/null | LC_ALL=C sort); do
    difference=$("$tool" --style=file "$file" | diff -u --label "$file" --label 'as clang-format has it' "$file" -)
    if test -n "$difference"; then
        printf '%s\n' "$difference" | head -n 20
        status=1
    fi
done
if test $status != 0; then
    echo "\"make format\" puts it right"
fi
exit $status
