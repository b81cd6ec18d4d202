#!/usr/bin/env bash
# Makes the secrets of compose.yaml that are missing, in ./secrets; those that are there stay. That of the marketplace
# cannot be made up: its file is made empty, and Bellhop says so until the partner token stands in it.
#
#   packaging/compose/secrets.sh [FOLDER]
set -euo pipefail
folder=${1:-$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../secrets}

# The folder is closed and its files are readable: who is root in no container can read what is mounted for it, and on
# this machine nobody else gets in.
umask 022
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
make() {
  if [ -e "$folder/$1" ]; then return; fi
  printf '%s\n' "$2" >"$folder/$1"
  echo "secrets: made $1"
}
make hook "$(random)"
make operator "$(random)"
make grafana "$(random)"
make postgres "$(random)"
make database "postgres://bellhop:$(random)@postgres:5432/bellhop"
if [ ! -e "$folder/partner" ]; then
  : >"$folder/partner"
  echo "secrets: put the partner token of the developer cabinet into $folder/partner"
fi
echo "secrets: keep a copy of the folder elsewhere, above all of hook: the webhook addresses are made from it"
