# Every source is named in its layer's local.mk: one that is not is missing in
# the module, or in the archive of a release. The version stands in one place.

cd "${KF_SRCDIR:-.}" || exit 99
status=0
for layer in base events aws delivery status httpd; do
    for file in $(find "src/$layer" -type f \( -name '*.[ch]' -o -name '*.def' \) | LC_ALL=C sort); do
        if ! grep -qE "(^|[[:space:]=])$file([[:space:]]|\$)" "src/$layer/local.mk"; then
            echo "$file is not named in src/$layer/local.mk"
            status=1
        fi
    done
done
for file in t/unit/test_*.c; do
    test -f "$file" || continue
    if ! grep -qF "$file" t/unit/*.mk; then
        echo "$file is built by no fragment in t/unit"
        status=1
    fi
done
for file in t/fuzz/fuzz_*.c; do
    test -f "$file" || continue
    if ! grep -qF "$file" t/fuzz/local.mk; then
        echo "$file is not named in t/fuzz/local.mk"
        status=1
    fi
done
exit $status
