#!/usr/bin/env bash
# Prints the folder of PostgreSQL's server binaries, version 15 or newer: PG_BIN, else the newest of the distribution,
# else the first in PATH. The same order as src/embedded/binaries.rs. Ends with 1 when there is none. Tests put another
# folder in the place of the distribution's with PG_DISTRIBUTION_FOLDER.
set -euo pipefail

oldest=15

# The major version of the binaries in a folder, or nothing.
major() {
  local tool
  for tool in postgres initdb pg_ctl; do [ -x "$1/$tool" ] || return 0; done
  "$1/postgres" --version 2>/dev/null | sed -nE 's/^postgres \(PostgreSQL\) ([0-9]+).*/\1/p'
}

if [ -n "${PG_BIN:-}" ]; then
  found=$(major "$PG_BIN")
  if [ "${found:-0}" -ge "$oldest" ]; then echo "$PG_BIN"; exit 0; fi
  echo "PG_BIN=$PG_BIN does not hold the binaries of PostgreSQL $oldest or newer: correct or unset it" >&2
  exit 1
fi

distribution=${PG_DISTRIBUTION_FOLDER:-/usr/lib/postgresql}
IFS=: read -ra in_path <<<"$PATH"
while read -r folder; do
  found=$(major "$folder")
  if [ "${found:-0}" -ge "$oldest" ]; then echo "$folder"; exit 0; fi
done < <(printf '%s\n' "$distribution"/*/bin | sort -rV; printf '%s\n' "${in_path[@]}")
exit 1
