#!/usr/bin/env bash
# The JSON API against schemathesis, which reads the description and makes requests of it, good ones and bad ones:
#
#   scripts/api-fuzz.sh [--minutes N] [--seed N] [--examples N]
#
# A service with a database of its own and a sandbox marketplace are started on free ports, given a little life, asked
# for 5 minutes unless told otherwise, and stopped. The seed is random unless given, and printed. schemathesis is
# installed into a folder of the cache at the first run.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
usage() { echo "usage: api-fuzz.sh [--minutes N] [--seed N] [--examples N]" >&2; exit 2; }
minutes=5
seed=$RANDOM
examples=100
while [ $# -gt 0 ]; do
  [[ ${2:-} =~ ^[0-9]+$ ]] || usage
  case $1 in
    --minutes) minutes=$2 ;;
    --seed) seed=$2 ;;
    --examples) examples=$2 ;;
    *) usage ;;
  esac
  shift 2
done

version=4.32.5
tools=${XDG_CACHE_HOME:-$HOME/.cache}/bellhop/schemathesis-$version
if [ ! -x "$tools/bin/schemathesis" ]; then
  echo "api-fuzz: installing schemathesis $version into $tools" >&2
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet "schemathesis==$version" openapi-spec-validator
fi

cargo build --locked --bin bellhop
bellhop=$PWD/target/debug/bellhop
folder=$(mktemp -d "${TMPDIR:-/tmp}/bellhop-api.XXXXXX")
chmod 755 "$folder"
children=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local status=$?
  trap '' INT TERM HUP
  for child in ${children[@]+"${children[@]}"}; do kill -TERM "$child" 2>/dev/null || true; done
  for child in ${children[@]+"${children[@]}"}; do wait "$child" 2>/dev/null || true; done
  if [ "$status" != 0 ]; then tail -n 20 "$folder/said" >&2 2>/dev/null || true; fi
  cd /
  rm -rf "$folder"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

read -r public operator sandbox mailbox < <(python3 - <<'PYTHON'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(one.getsockname()[1] for one in sockets))
PYTHON
)
cat >"$folder/bellhop.toml" <<CONFIG
[server]
listen = "127.0.0.1:$public"
public_url = "http://127.0.0.1:$public"
[operator]
listen = "127.0.0.1:$operator"
token = "token-of-the-api-fuzz"
[database]
data_dir = "$folder/database"
[security]
hook_secret = "a hook secret for this run only"
[jobs]
poll = "100ms"
[smtp]
host = "127.0.0.1"
port = $mailbox
from = "Example <hello@example.com>"
tls = "none"
[[account]]
name = "sandbox"
partner_token = "sandbox-partner-token"
partner_base = "http://127.0.0.1:$sandbox/marketplace"
api_base = "http://127.0.0.1:$sandbox/api/v1"
[[application]]
id = 18289
account = "sandbox"
name = "Example"
rules = ["rules.toml"]
CONFIG
cat >"$folder/rules.toml" <<'RULES'
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
id = "link"
action = "create_payment_link"
[[rule.then]]
action = "send_email"
to = "{{ location.email }}"
subject = "Welcome"
text = "{{ link.url }}"

[[rule]]
name = "capped"
on = "installation.activated"
cap_per_day = 1
[[rule.then]]
action = "report_payment"
amount = 10
currency = "EUR"
months = 1

[[rule]]
name = "watched"
on = "client.*"
mode = "shadow"
[[rule.then]]
action = "set_tag"
tag = "seen"
RULES

"$bellhop" sandbox --listen "127.0.0.1:$sandbox" --mailbox "127.0.0.1:$mailbox" --no-limits --event-delay 0 \
  --redirect-url "http://127.0.0.1:$public/apps/18289/connect" \
  --callback-url "http://127.0.0.1:$public/apps/18289/callback" >"$folder/said" 2>&1 &
children+=($!)
"$bellhop" serve --config "$folder/bellhop.toml" >>"$folder/said" 2>&1 &
children+=($!)
ready=""
for _ in $(seq 120); do
  if curl -fsS -o "$folder/ready" "http://127.0.0.1:$operator/readyz" 2>/dev/null; then ready=1; break; fi
  sleep 0.5
done
[ -n "$ready" ] || { echo "api-fuzz: the service did not become ready" >&2; exit 1; }

play() { curl -fsS -o "$folder/played" -H 'Content-Type: application/json' -d "$2" "http://127.0.0.1:$sandbox/_sandbox/$1"; }
play connect '{"application_id": 18289, "location_ids": [100001, 100002, 100003], "follow": true}'
for location in 100001 100002 100003; do
  play change "{\"location_id\": $location, \"resource\": \"client\", \"status\": \"update\"}"
done
sleep 3

"$tools/bin/python" - "http://127.0.0.1:$operator/api/v1/openapi.json" <<'PYTHON'
import json, sys, urllib.request
from openapi_spec_validator import OpenAPIV31SpecValidator
asked = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer token-of-the-api-fuzz"})
OpenAPIV31SpecValidator(json.load(urllib.request.urlopen(asked))).validate()
PYTHON
echo "api-fuzz: $minutes minutes, --seed $seed"
status=0
cd "$folder"
"$tools/bin/schemathesis" run "http://127.0.0.1:$operator/api/v1/openapi.json" \
  -H "Authorization: Bearer token-of-the-api-fuzz" --checks all --phases examples,coverage,fuzzing,stateful \
  --mode all --max-examples "$examples" --max-time $((60 * minutes)) --continue-on-failure --seed "$seed" \
  --suppress-health-check all --warnings off --no-color || status=$?
for child in "${children[@]}"; do
  kill -0 "$child" 2>/dev/null || { echo "api-fuzz: a process ended before it was asked to" >&2; exit 1; }
done
exit "$status"
