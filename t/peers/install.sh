# install.sh FOLDER: the real senders and readers of t/peers, in the versions that package-lock.json and
# requirements.txt name, into a build folder; nothing is done where they are there already. Exits with 1, saying what
# is missing, where it can't.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
python=${KF_PYTHON:-python3}

if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
    echo 'check-peers needs node and npm (Debian: apt-get install nodejs npm)' >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo 'check-peers needs Python with venv (Debian: apt-get install python3-venv)' >&2
    exit 1
fi

# The copies beside what was installed from them are written last.
mkdir -p "$folder/npm"
if ! cmp -s "$here/package-lock.json" "$folder/npm/installed.json"; then
    rm -f "$folder/npm/installed.json"
    cp "$here/package.json" "$here/package-lock.json" "$folder/npm"
    (cd "$folder/npm" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp "$here/package-lock.json" "$folder/npm/installed.json"
fi
if ! cat "$here/requirements.txt" "$here/older-requirements.txt" | cmp -s - "$folder/venv/installed.txt"; then
    rm -rf "$folder/venv"
    "$python" -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet --no-input --no-deps --disable-pip-version-check \
        -r "$here/requirements.txt"
    # Older releases of what is in requirements.txt, a folder each, for PYTHONPATH.
    while IFS= read -r older; do
        "$folder/venv/bin/python" -m pip install --quiet --no-input --no-deps --disable-pip-version-check \
            --target "$folder/venv/older/${older#*==}" "$older"
    done <"$here/older-requirements.txt"
    cat "$here/requirements.txt" "$here/older-requirements.txt" >"$folder/venv/installed.txt"
fi
