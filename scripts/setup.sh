#!/bin/sh
# setup.sh [FOLDER REQUIREMENTS]: makes an environment (.venv as requirements/dev.txt says, if nothing else is named;
# every package pinned by hash), with Newsstand in it, editable. Quick when nothing changed. Needs Python 3.11 or
# newer; PYTHON=/path/to/python chooses one.
set -eu
cd "$(dirname "$0")/.."
venv=${1:-.venv}
requirements=${2:-requirements/dev.txt}

fail() {
    echo "setup: $*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
        if new_enough "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

# What the environment was made from: the stamp says so afterwards.
wanted() {
    cat "$requirements" pyproject.toml scripts/setup.sh | cksum
    pwd
}

stamp="$venv/.newsstand-setup"
if new_enough "$venv/bin/python" && [ "$(cat "$stamp" 2>/dev/null)" = "$(wanted)" ]; then
    exit 0
fi
started=$(date +%s)

# 1. The environment; a half-made or moved one, and one of a Python that is gone, is made anew.
if ! new_enough "$venv/bin/python" || [ "$(tail -n 1 "$stamp" 2>/dev/null)" != "$(pwd)" ]; then
    python=$(find_python) || {
        sh scripts/apt.sh python3 python3-venv
        python=$(find_python) || fail "no Python 3.11 or newer found; PYTHON=/path/to/python names one"
    }
    # Debian keeps what makes environments in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        sh scripts/apt.sh python3-venv
        "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no ensurepip; PYTHON= chooses another"
    fi
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
rm -f "$stamp"

# 2. uv: the one of the last time, the machine's, or the version and hash that the requirements name.
if [ -x "$venv/bin/uv" ]; then
    uv="$venv/bin/uv"
elif command -v uv >/dev/null 2>&1; then
    uv=uv
else
    uv="$venv/bin/uv"
    awk '/^[^ #]/ { uv = /^uv==/ } uv' "$requirements" >"$venv/uv.txt"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$venv/uv.txt"
fi

# 3. The packages, then the project. No index is named: each machine uses the one it is set up for.
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$requirements"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .

wanted >"$stamp"
echo "setup: made $venv with $("$venv/bin/python" --version) in $(($(date +%s) - started)) s"
