#!/usr/bin/env bash
# Runs a command beside a private PostgreSQL and takes the server away again, however the command ends:
#
#   scripts/test-database.sh cargo test
#
# The command finds it through DATABASE_URL, as the role that packaging/postgres/roles.sql makes for the service. The
# server forgets everything at a power cut (fsync off), listens on a Unix socket in a new folder only, and so does not
# meet other servers or other runs.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
[ $# -ge 1 ] || { echo "usage: test-database.sh COMMAND [ARGUMENT…]" >&2; exit 2; }

if ! bin=$("$here/postgres-bin.sh"); then
  echo "test-database: no PostgreSQL binaries; scripts/setup.sh installs them, PG_BIN names them" >&2
  exit 2
fi
# The command must reach this server, whatever else the caller is used to talking to.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGSSLMODE PGDATA

# PostgreSQL does not run as root.
owner=""
if [ "$(id -u)" = 0 ]; then
  for name in postgres nobody; do if id -u "$name" >/dev/null 2>&1; then owner=$name; break; fi; done
  [ -n "$owner" ] || { echo "test-database: PostgreSQL does not run as root, and there is no user postgres or nobody" >&2; exit 2; }
fi
as_owner() {
  if [ -z "$owner" ]; then "$@"
  elif command -v setpriv >/dev/null; then
    setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups -- "$@"
  else su -s /bin/sh "$owner" -c "$(printf '%q ' "$@")"; fi
}

folder=""
child=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local status=$?
  trap '' INT TERM HUP
  if [ -n "$folder" ]; then
    if [ -e "$folder/data/postmaster.pid" ]; then
      (cd "$folder" && as_owner "$bin/pg_ctl" stop -s -D "$folder/data" -m immediate -w -t 30) >/dev/null || true
    fi
    rm -rf "$folder"
  fi
  exit "$status"
}
# The command has a process group of its own, so a signal to this script alone reaches it too.
# shellcheck disable=SC2317 # called by the trap
pass_on() {
  if [ -n "$child" ]; then kill -s "$1" -- "-$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
  exit "$2"
}
trap clean_up EXIT
trap 'pass_on INT 130' INT
trap 'pass_on TERM 143' TERM
trap 'pass_on HUP 129' HUP

# Runs that were killed with -9 could not clean up; the next one does it for them. A run that lives holds its lock, and
# its folder gets the name looked for only after the lock.
parent=${TMPDIR:-/tmp}
sweep() {
  local pid
  flock -n 8 || return 0
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) || pid=""
  if [ -n "$pid" ] && ps -o args= -p "$pid" | grep -qF "$1/data"; then kill -QUIT "$pid"; fi
  rm -rf "$1"
}
if command -v flock >/dev/null; then
  for left in "$parent"/bellhop-db.*; do
    if [ -w "$left/lock" ]; then sweep "$left" 8>>"$left/lock" || true; fi
  done
fi

folder=$(mktemp -d "$parent/bellhop-new.XXXXXX")
exec 9>"$folder/lock"
if command -v flock >/dev/null; then flock -n 9; fi
mv "$folder" "$parent/bellhop-db.${folder##*.}"
folder=$parent/bellhop-db.${folder##*.}
mkdir "$folder/data" "$folder/socket"
chmod 711 "$folder"
chmod 700 "$folder/data" "$folder/socket"
[ -z "$owner" ] || chown "$owner" "$folder/data" "$folder/socket"
came_from=$PWD
cd "$folder"
# What initdb and pg_ctl say is of interest only when they fail. macOS knows no C.UTF-8.
locale=C.UTF-8
[ "$(uname -s)" != Darwin ] || locale=C
as_owner "$bin/initdb" -D "$folder/data" -U postgres --auth=trust --encoding=UTF8 --locale="$locale" \
  --no-sync >"$folder/said" 2>&1 9>&- || { cat "$folder/said" >&2; exit 1; }
cat >>"$folder/data/postgresql.conf" <<SETTINGS
listen_addresses = ''
unix_socket_directories = '$folder/socket'
port = 5432
max_connections = 300
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
log_destination = stderr
logging_collector = off
SETTINGS
as_owner "$bin/pg_ctl" start -s -w -t 60 -D "$folder/data" -l "$folder/data/server.log" >>"$folder/said" 2>&1 9>&- ||
  { cat "$folder/said" "$folder/data/server.log" >&2; exit 1; }
# The roles that operators are told to make. Only that each test makes a database of its own is more than they may.
{ cat "$here/../packaging/postgres/roles.sql"; echo "alter role bellhop createdb;"; } |
  "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$folder/socket" -p 5432 -U postgres postgres >>"$folder/said" 2>&1 ||
  { cat "$folder/said" >&2; exit 1; }
cd "$came_from"

export DATABASE_URL="postgres:///bellhop?host=$folder/socket&port=5432&user=bellhop&sslmode=disable"
set -m
"$@" <&0 9>&- &
child=$!
status=0
wait "$child" || status=$?
child=""
exit "$status"
