#!/bin/sh
# Installs the server that the demo and the tests start for themselves, where it is missing. The service that
# Debian's package starts is stopped again: nothing of Newsstand uses it.
set -eu
cd "$(dirname "$0")/.."

has_driver() {
    for file in /usr/lib/*/lua/*/dbd/sqlite3.so /usr/lib/lua/*/dbd/sqlite3.so /usr/local/lib/lua/*/dbd/sqlite3.so; do
        [ ! -e "$file" ] || return 0
    done
    return 1
}

missing=
command -v prosody >/dev/null 2>&1 || missing="prosody"
has_driver || missing="$missing lua-dbi-sqlite3"
[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086  # a list of package names
sh scripts/apt.sh $missing

case $missing in
*prosody*)
    [ "$(id -u)" = 0 ] && as_root= || as_root="sudo -n"
    if [ -d /run/systemd/system ]; then
        $as_root systemctl disable --now --quiet prosody.service || true
    elif [ -x /etc/init.d/prosody ]; then
        $as_root /etc/init.d/prosody stop >/dev/null 2>&1 </dev/null || true
        $as_root update-rc.d prosody disable >/dev/null 2>&1 || true
    fi
    ;;
esac
# shellcheck disable=SC2086
echo "servers: installed$(printf ' %s' $missing)"
