#!/usr/bin/env bash
# Two Bellhops behind the proxy of compose.yaml, under load: each is replaced, and one is killed. No delivery may be
# refused, and each is stored once. Runs beside the database of DATABASE_URL:
#
#   scripts/test-database.sh scripts/packaging/proxy.sh CADDY
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
caddy=$1
cargo build --quiet --locked
bellhop=${CARGO_TARGET_DIR:-target}/debug/bellhop
work=$(mktemp -d "${TMPDIR:-/tmp}/bellhop-proxy.XXXXXX")
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local status=$?
  kill "${processes[@]}" 2>/dev/null || true
  wait || true
  if [ "$status" != 0 ]; then tail -n 20 "$work"/*.log >&2; fi
  rm -rf "$work"
  exit "$status"
}
declare -A processes=()
trap clean_up EXIT

front=$((10000 + RANDOM % 20000))
configure() { # NAME PUBLIC OPERATOR
  cat >"$work/$1.toml" <<TOML
[server]
listen = "127.0.0.1:$2"
public_url = "https://hooks.example.com"
$(grep -E '^(drain_delay|shutdown_grace) = ' packaging/compose/bellhop/bellhop.toml)
[operator]
listen = "127.0.0.1:$3"
[database]
url = "$DATABASE_URL"
[security]
hook_secret = "a hook secret for a trial"
[spool]
dir = "$work/spool"
[[account]]
name = "main"
partner_token = "a partner token of the cabinet"
[[application]]
id = 18289
account = "main"
name = "Example app"
TOML
}
start() {
  "$bellhop" serve --config "$work/$1.toml" 2>>"$work/$1.log" &
  processes[$1]=$!
  for _ in {1..300}; do
    if "$bellhop" health --ready --config "$work/$1.toml" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "$1 does not get ready" >&2
  return 1
}

configure one $((front + 1)) $((front + 3))
configure two $((front + 2)) $((front + 4))
start one
start two
sed "s/bellhop-1:8080 bellhop-2:8080/127.0.0.1:$((front + 1)) 127.0.0.1:$((front + 2))/" \
  packaging/compose/caddy/Caddyfile >"$work/Caddyfile"
BELLHOP_HOST=http://127.0.0.1:$front XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work \
  "$caddy" run --adapter caddyfile --config "$work/Caddyfile" 2>"$work/caddy.log" &
processes[caddy]=$!
path=$("$bellhop" urls --config "$work/one.toml" | sed -n 's|.*https://hooks.example.com\(/apps/.*/hooks/.*\)|\1|p')
for _ in {1..100}; do
  if curl -sf -o /dev/null "http://127.0.0.1:$front/healthz"; then break; fi
  sleep 0.1
done

# Four senders with a connection each; every answer but 200 is noted.
sender() {
  local number=0 status
  while [ ! -e "$work/enough" ]; do
    number=$((number + 1))
    status=$(curl -s -o /dev/null -w '%{http_code}' --max-time 10 "http://127.0.0.1:$front$path" --data \
      '{"company_id":1,"resource":"record","resource_id":'"$1$(printf %06d $number)"',"status":"create","data":{}}' || true)
    echo "$status" >>"$work/answers.$1"
  done
}
senders=()
for n in 1 2 3 4; do sender "$n" & senders+=($!); done
sleep 1
for name in one two; do
  kill -TERM "${processes[$name]}"
  wait "${processes[$name]}"
  start "$name"
  # The proxy notices that it is back.
  sleep 3
done
kill -KILL "${processes[one]}"
wait "${processes[one]}" 2>/dev/null || true
sleep 3
touch "$work/enough"
wait "${senders[@]}"
sent=$(cat "$work"/answers.* | wc -l)
taken=$(cat "$work"/answers.* | grep -c '^200$')
stored=$(psql "${DATABASE_URL}" -Atqc "select count(*) || ' ' || count(distinct resource_id) from events where kind = 'record.created'")
echo "$sent deliveries, $taken acknowledged, stored (all, different): $stored"
[ "$sent" = "$taken" ] && [ "$stored" = "$taken $taken" ] && [ "$sent" -gt 100 ]
