#!/usr/bin/env bash
# Makes sure that what Bellhop is built and run with is on this machine: cargo and PostgreSQL's server binaries. With
# `tests` also what only tests use: Prometheus with promtool, Chromium with its driver, and a library that moves clocks.
# Says nothing when they are. Ends with 2 when something is missing that it cannot install itself.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

say() { echo "setup: $*" >&2; }

if ! command -v cargo >/dev/null; then
  say "cargo is missing: install Rust 1.95 or newer from https://rustup.rs, open a new terminal and try again"
  exit 2
fi

packages=()
if ! "$here/postgres-bin.sh" >/dev/null; then
  if [ -n "${PG_BIN:-}" ]; then exit 2; fi
  packages+=(postgresql)
fi
if [ "${1:-}" = tests ]; then
  command -v promtool >/dev/null && command -v prometheus >/dev/null || packages+=(prometheus)
  command -v chromedriver >/dev/null || packages+=(chromium chromium-driver)
  # Clocks are moved on Linux only.
  if [ -z "${FAULTS_FAKETIME:-}" ] && [ "$(uname -s)" = Linux ]; then
    compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || packages+=(libfaketime)
  fi
fi
if [ ${#packages[@]} = 0 ]; then exit 0; fi

# Everything but apt is only told: other systems are too many to try.
if ! command -v apt-get >/dev/null; then
  if [ "${packages[0]}" = postgresql ]; then
    if command -v dnf >/dev/null; then command="sudo dnf install postgresql-server"
    elif command -v apk >/dev/null; then command="apk add postgresql"
    elif command -v pacman >/dev/null; then command="sudo pacman -S postgresql"
    elif command -v brew >/dev/null; then command="brew install postgresql@17 && export PG_BIN=\"\$(brew --prefix postgresql@17)/bin\""
    else command=""; fi
    if [ -n "$command" ]; then say "PostgreSQL is missing (Bellhop starts a private one from its binaries): run  $command"
    else say "PostgreSQL is missing: install version 15 or newer and name the folder of its binaries with PG_BIN"; fi
    packages=("${packages[@]:1}")
  fi
  if [ ${#packages[@]} != 0 ]; then
    say "tests use programs that are missing here; install what your system calls  ${packages[*]}"
    say "they are looked for in PATH, libfaketimeMT by the name in FAULTS_FAKETIME"
  fi
  exit 2
fi

# PostgreSQL's package would make and start a cluster of its own, which nobody here needs; it asks a file first. That of
# Prometheus starts a server on the port of Bellhop's operator listener; it cannot be asked, so it is stopped.
# shellcheck disable=SC2016 # expanded by the shell that runs it
install='
set -e
conf=/etc/postgresql-common/createcluster.conf
if [ ! -e "$conf" ]; then
  mkdir -p "${conf%/*}"
  echo "create_main_cluster = false" >"$conf"
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Options::=--force-confold "$@" >/dev/null
case " $* " in *" prometheus "*) if [ -d /run/systemd/system ]; then systemctl disable -q --now prometheus; fi ;; esac
'
by_hand="sudo apt-get update && sudo apt-get install --no-install-recommends ${packages[*]}"
if [ "$(id -u)" = 0 ]; then as_root=()
elif command -v sudo >/dev/null; then as_root=(sudo)
else
  say "missing here, and there is no sudo: as root run  ${by_hand//sudo /}"
  exit 2
fi
say "installing from the distribution: ${packages[*]}${as_root[*]:+ (${as_root[*]} may ask for your password)}"
if [ "${packages[0]}" = postgresql ]; then say "Bellhop starts a private PostgreSQL from its binaries"; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${as_root[@]}" bash -c "$install" setup "${packages[@]}" 2>"$log"; then
  cat "$log" >&2
  say "that failed; run it by hand and try again:  $by_hand"
  exit 1
fi
if ! "$here/postgres-bin.sh" >/dev/null; then
  say "the distribution's PostgreSQL is older than 15: install a newer one (https://www.postgresql.org/download/)"
  exit 2
fi
