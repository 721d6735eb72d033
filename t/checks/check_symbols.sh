# The module exports its record and nothing else: httpd loads modules into one
# name space with every other module's symbols.

module=${KF_MODULE:?}
nm=${KF_NM:-nm}
if ! test -f "$module"; then
    echo "$module is not there"
    exit 1
fi
case ${KF_PRELOAD:-} in
    ?*)
        echo "an instrumented module exports the sanitizer's symbols too"
        exit 77
        ;;
esac
symbols=$($nm -D --defined-only "$module" | sed 's/.* //; s/@.*//' | LC_ALL=C sort)
if test "$symbols" != kinesis_forward_module; then
    echo "exported besides kinesis_forward_module:"
    printf '%s\n' "$symbols" | grep -vx kinesis_forward_module
    exit 1
fi
