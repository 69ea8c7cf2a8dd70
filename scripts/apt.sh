#!/bin/sh
# apt.sh PACKAGE... installs Debian packages, quietly. Without the right to do so it names the line to run, exit 1.
set -eu

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    as_root=none
fi
if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing here: $*. On Debian or Ubuntu, as root: apt-get install --no-install-recommends $*" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" \
        </dev/null >>"$log" 2>&1
}

# New machines have no package lists, old ones stale lists: then fetch them, and try once more.
install "$@" || { $as_root apt-get update -q </dev/null >>"$log" 2>&1 && install "$@"; } || {
    tail -n 20 "$log" >&2
    echo "Could not install: $*" >&2
    exit 1
}
