#!/usr/bin/env bash
# Builds the image and tries it the way compose.yaml runs it, beside a PostgreSQL of its own: not root, nothing to write
# but its volume, no capabilities, no shell; how large it is, how soon it is ready, and how it ends.
#
#   scripts/packaging/image.sh [IMAGE]     # tries that image instead, and builds none
#
# RUN_OPTIONS adds options of `podman run`, such as "--runtime /usr/sbin/runc". Needs podman, curl, psql and the server of
# PostgreSQL; as root.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
root=$here/../..
cd "$root"

say() { echo "image: $*"; }
fail() { echo "image: $*" >&2; exit 1; }
for tool in podman curl psql setpriv; do
  command -v "$tool" >/dev/null || { echo "image: $tool is missing" >&2; exit 2; }
done
bin=$("$root/scripts/postgres-bin.sh") || exit 2

image=${1:-}
if [ -z "$image" ]; then
  image=bellhop-packaging
  base=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' Dockerfile)
  podman image exists "$base" || podman pull --quiet "$base" >/dev/null 2>&1 || "$here/base.sh" "$base"
  began=$SECONDS
  podman build --quiet --pull=never --format docker --isolation chroot --layers --tag "$image" \
    --build-arg BELLHOP_REVISION="$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" . >/dev/null
  say "built in $((SECONDS - began)) s"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/bellhop-image.XXXXXX")
name=bellhop-packaging-$$
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local status=$?
  if [ "$status" != 0 ]; then podman logs "$name" 2>&1 | tail -20 >&2 || true; fi
  podman rm --force --time 0 "$name" >/dev/null 2>&1 || true
  podman volume rm --force "$name" >/dev/null 2>&1 || true
  if [ -e "$work/data/postmaster.pid" ]; then as_postgres "$bin/pg_ctl" stop -s -D "$work/data" -m immediate || true; fi
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
as_postgres() { (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"); }
free_port() {
  local port
  while port=$((10000 + RANDOM % 20000)); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
}
database=$(free_port) public=$(free_port) operator=$(free_port)

# PostgreSQL with the role and the database that compose.yaml makes.
chmod 755 "$work"
mkdir "$work/data" "$work/socket"
chown postgres "$work/data" "$work/socket"
as_postgres "$bin/initdb" -D "$work/data" -U postgres --auth-local=trust --auth-host=scram-sha-256 >/dev/null
as_postgres "$bin/pg_ctl" start -s -w -D "$work/data" -l "$work/data/log" \
  -o "-p $database -k $work/socket -c listen_addresses=127.0.0.1"
packaging/compose/secrets.sh "$work/secrets" >/dev/null
sed -i "s/@postgres:5432/@postgres:$database/" "$work/secrets/database"
echo "a partner token" >"$work/secrets/partner"
export PGHOST=$work/socket PGPORT=$database PGUSER=postgres
DATABASE_SECRET=$work/secrets/database packaging/compose/postgres/10-bellhop.sh

# Read-only and without rights, as compose.yaml has it.
ports=(--env "BELLHOP_SERVER__LISTEN=127.0.0.1:$public" --env "BELLHOP_OPERATOR__LISTEN=127.0.0.1:$operator")
# shellcheck disable=SC2206 # words
ports+=(--env BELLHOP_SERVER__PUBLIC_URL=https://hooks.example.com ${RUN_OPTIONS:-})
secrets=()
for secret in database hook operator partner; do
  secrets+=(--volume "$work/secrets/$secret:/run/secrets/$secret:ro")
done
create() {
  # What it says about a missing systemd concerns the health check's clock: here it is asked by hand.
  podman create --name "$name" --network host --read-only --read-only-tmpfs=false --cap-drop all \
    --security-opt no-new-privileges --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096 \
    --volume "$PWD/packaging/compose/bellhop:/etc/bellhop:ro" --volume "$name:/var/lib/bellhop" "${secrets[@]}" \
    --add-host postgres:127.0.0.1 "${ports[@]}" "$image" >/dev/null 2>"$work/said" || fail "$(cat "$work/said")"
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
answers() { [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$1" || true)" = "$2" ]; }
within() { # SECONDS WORDS COMMAND…
  local end=$(($(milliseconds) + $1 * 1000)) what=$2
  shift 2
  until "$@"; do [ "$(milliseconds)" -lt "$end" ] || fail "never came: $what"; sleep 0.01; done
}
start() {
  local began
  began=$(milliseconds)
  podman start "$name" >/dev/null 2>"$work/said" || fail "$(cat "$work/said")"
  within 60 "it is ready" answers "$operator/readyz" 200
  say "$1: ready $(($(milliseconds) - began)) ms after the engine was asked to start it"
}

create
say "size: $(podman image inspect --format '{{.Size}}' "$image" | numfmt --to=iec-i --suffix=B)"
start "an empty database"
podman exec "$name" bellhop health --ready >/dev/null || fail "its own check says it is not well"
podman healthcheck run "$name" || fail "the health check of the image fails"
process=$(podman inspect --format '{{.State.Pid}}' "$name")
grep -qE '^Uid:\s10001\s10001\s10001\s10001$' "/proc/$process/status" || fail "it does not run as 10001"
grep -qE '^CapEff:\s0+$' "/proc/$process/status" || fail "it has capabilities"
grep -qE '^NoNewPrivs:\s1$' "/proc/$process/status" || fail "it may gain rights"
grep -qE ' / / ro,| / ro,' "/proc/$process/mountinfo" || fail "its root can be written"
for shell in /bin/sh /bin/bash; do
  if podman exec "$name" "$shell" -c true 2>/dev/null; then fail "there is a $shell"; fi
done
# A stop: it tells balancers, takes what still comes, and ends by itself.
url=$(podman exec "$name" bellhop urls | sed -n 's|.*https://hooks.example.com\(/apps/.*/hooks/.*\)|\1|p')
deliver() {
  curl -s -o /dev/null -w '%{http_code}' --data '{"company_id":1,"resource":"record","resource_id":'"$1"',"status":"create","data":{}}' \
    "http://127.0.0.1:$public$url"
}
[ "$(deliver 1)" = 200 ] || fail "a delivery is refused"
began=$(milliseconds)
podman stop --time 40 "$name" >/dev/null 2>&1 &
within 5 "it tells that it is about to end" answers "$public/healthz" 503
[ "$(deliver 2)" = 200 ] || fail "a delivery is refused while it drains"
wait $!
say "a stop took $(($(milliseconds) - began)) ms, with drain_delay $(sed -n 's/^drain_delay = //p' packaging/compose/bellhop/bellhop.toml)"
[ "$(podman inspect --format '{{.State.ExitCode}}' "$name")" = 0 ] || fail "it did not end by itself"
stored=$(psql -Atqc "select count(*) from events where kind = 'record.created'" bellhop)
[ "$stored" = 2 ] || fail "2 deliveries were acknowledged, and $stored are stored"
start "the same database again"
podman stop --time 40 "$name" >/dev/null 2>&1

# A backup and its restoration, as docs/deploy.md has it: the role owns what comes back, and what was stored is known.
"$bin/pg_dump" --format=custom --file "$work/dump" bellhop
psql -q --command 'alter database bellhop rename to former' --command 'create database bellhop owner bellhop'
"$bin/pg_restore" --role=bellhop --no-owner --exit-on-error --dbname=bellhop "$work/dump"
start "a restored database"
[ "$(deliver 1)" = 200 ] || fail "a delivery is refused"
stored=$(psql -Atqc "select count(*) from events where kind = 'record.created'" bellhop)
[ "$stored" = 2 ] || fail "a delivery that the backup holds was stored again"

podman stop --time 40 "$name" >/dev/null 2>&1
say "all is well"
