#!/bin/sh
# servers.sh prosody|all installs the servers that the demo (prosody) and the tests (all) start for themselves, where
# they are missing. Nothing of Newsstand uses the services that Debian's packages would start: they are kept from
# starting, now and at boot.
set -eu
cd "$(dirname "$0")/.."

has_lua_sqlite() {
    for file in /usr/lib/*/lua/*/dbd/sqlite3.so /usr/lib/lua/*/dbd/sqlite3.so /usr/local/lib/lua/*/dbd/sqlite3.so; do
        [ ! -e "$file" ] || return 0
    done
    return 1
}

has_erlang_sqlite() {
    for file in /usr/lib/erlang/lib/*/ebin/sqlite3.app; do
        [ ! -e "$file" ] || return 0
    done
    return 1
}

has_postgresql() {
    for file in /usr/lib/postgresql/*/bin/initdb; do
        [ ! -e "$file" ] || return 0
    done
    return 1
}

missing=
command -v prosody >/dev/null 2>&1 || missing="$missing prosody"
has_lua_sqlite || missing="$missing lua-dbi-sqlite3"
case ${1:-all} in
prosody) ;;
all)
    [ -e /usr/sbin/ejabberdctl ] || missing="$missing ejabberd"
    has_erlang_sqlite || missing="$missing erlang-p1-sqlite3"
    has_postgresql || missing="$missing postgresql"
    command -v pgbouncer >/dev/null 2>&1 || [ -e /usr/sbin/pgbouncer ] || missing="$missing pgbouncer"
    [ -e /usr/lib/prosody/modules/mod_privilege ] || [ -e "${NEWSSTAND_PROSODY_MODULES:-}/mod_privilege" ] ||
        missing="$missing prosody-modules"
    [ -e /usr/share/libervia/sat_pubsub ] || missing="$missing libervia-pubsub"
    ;;
*)
    echo "servers.sh: prosody or all, not $1" >&2
    exit 2
    ;;
esac
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] && as_root= || as_root="sudo -n"

# What Debian's packages ask before they start anything (invoke-rc.d, deb-systemd-invoke). One that is there already
# is somebody's decision.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && $as_root true 2>/dev/null; then
    # shellcheck disable=SC2064  # what is known now
    trap "$as_root rm -f $policy" EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
fi

# shellcheck disable=SC2086  # a list of package names
sh scripts/apt.sh $missing

for package in $missing; do
    case $package in
    prosody | postgresql | pgbouncer | libervia-pubsub) services=$package ;;
    ejabberd) services="ejabberd epmd" ;;
    *) continue ;;
    esac
    for service in $services; do
        if [ -d /run/systemd/system ]; then
            for unit in "$service.socket" "$service.service"; do
                $as_root systemctl disable --now --quiet "$unit" 2>/dev/null || true
            done
        elif [ -x "/etc/init.d/$service" ]; then
            # Not its `stop`, since it was not started: ejabberd's starts an epmd to ask.
            $as_root update-rc.d "$service" disable >/dev/null 2>&1 || true
        fi
    done
done
echo "servers: installed$missing"
