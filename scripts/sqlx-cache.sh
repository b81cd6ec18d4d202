#!/usr/bin/env bash
# Writes .sqlx, the cache that lets the query macros work without a database: applies the migrations to a private
# PostgreSQL and builds against it. With --check, writes nothing and fails naming what differs.
#
# The migrations are applied with psql and not by Bellhop itself, because Bellhop cannot be built before the cache is
# right. `cargo sqlx` does the same but would have to be installed.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
cd "$here/.."

check=""
case "${1:-}" in
  --check) check=1 ;;
  "") ;;
  *) echo "usage: sqlx-cache.sh [--check]" >&2; exit 2 ;;
esac
if [ -z "${SQLX_CACHE_DATABASE:-}" ]; then
  # Once more, with a database beside it.
  SQLX_CACHE_DATABASE=private exec "$here/test-database.sh" "$here/sqlx-cache.sh" "$@"
fi

psql=$("$here/postgres-bin.sh")/psql
[ -x "$psql" ] || psql=psql
while read -r migration; do
  # One transaction each, as sqlx applies them, unless the file says that it cannot be.
  single=(--single-transaction)
  case "$(head -n 1 "$migration")" in '-- no-transaction'*) single=() ;; esac
  "$psql" "$DATABASE_URL" -X -q -v ON_ERROR_STOP=1 ${single[@]+"${single[@]}"} -f "$migration" ||
    { echo "sqlx-cache: $migration does not apply" >&2; exit 1; }
done < <(find migrations -name '*.sql' ! -name '*.down.sql' 2>/dev/null | sort -t/ -k2n)

fresh=$(mktemp -d "${TMPDIR:-/tmp}/bellhop-sqlx.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
# The macros write as they are expanded, and cargo does not know that they depend on the database: touched files are
# expanded anew.
touch -c src/lib.rs src/main.rs tests/it/main.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh cargo check --locked --quiet --all-targets
# The build that follows must look at the cache again.
touch -c src/lib.rs src/main.rs tests/it/main.rs

mkdir -p .sqlx
if [ -n "$check" ]; then
  if differences=$(diff -rq .sqlx "$fresh"); then exit 0; fi
  echo "sqlx-cache: .sqlx is not what migrations and queries say; run  make sqlx  and commit it:" >&2
  while read -r line; do
    case "$line" in
      "Only in .sqlx"*) state="no longer used" file=.sqlx/${line##*: } ;;
      "Only in "*) state="missing" file=$fresh/${line##*: } ;;
      *) state="different"; file=${line##*/}; file=$fresh/${file%% *} ;;
    esac
    # Enough of the query to find it in the source.
    printf '  %s (%s): %.100s\n' "${file##*/}" "$state" "$(sed -n 's/^ *"query": //p' "$file")" >&2
  done <<<"$differences"
  exit 1
fi
rm -f .sqlx/query-*.json
find "$fresh" -name 'query-*.json' -exec cp {} .sqlx/ \;
