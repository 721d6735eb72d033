# The tables and curves of docs/performance.md are those that docs/performance/*.json give.

if test -z "$KF_PYTHON"; then
    echo "configure found no Python for it"
    exit 77
fi
PYTHONDONTWRITEBYTECODE=1 exec "$KF_PYTHON" "${KF_SRCDIR:-.}/t/bench/page.py" --check
