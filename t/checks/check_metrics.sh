# docs/metrics.md lists every metric of src/delivery/kf_metrics.def and those that the renderer makes
# by itself, once each, and no other.

cd "${KF_SRCDIR:-.}" || exit 99
LC_ALL=C
export LC_ALL
list=src/delivery/kf_metrics.def
renderer=src/status/kf_render_prometheus.c
page=docs/metrics.md
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

for file in $list $renderer $page; do
    if ! test -s $file; then
        echo "$file is not there"
        exit 1
    fi
done
grep -oh '"kinesis_forward_[a-z_]*"' $list $renderer | tr -d '"' | sort >"$work/made"
sed -n 's/^| `\(kinesis_forward_[a-z_]*\)`.*/\1/p' $page | sort >"$work/listed"

status=0
for name in $(uniq -d "$work/made") $(uniq -d "$work/listed"); do
    echo "$name is there twice"
    status=1
done
for name in $(comm -23 "$work/made" "$work/listed"); do
    echo "$page lacks $name"
    status=1
done
for name in $(comm -13 "$work/made" "$work/listed"); do
    echo "$page has $name, which nobody makes"
    status=1
done
exit $status
