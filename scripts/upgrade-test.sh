#!/usr/bin/env bash
# The version before and this one on one database, under load: builds the program of the commit before, lets it work,
# applies this version's migrations beneath it, runs both side by side, and compares what was sent with what is there.
#
#   scripts/upgrade-test.sh [COMMIT]
#
# Takes a few minutes, most of them for building; without an end after half an hour it is stopped.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

# The last commit with the first migration alone: what people run before they upgrade.
before=${1:-93c1904}

say() { echo "upgrade-test: $*" >&2; }
if ! git rev-parse --git-dir >/dev/null 2>&1; then
  say "this is no git checkout, so there is no version before: clone the project to run this"
  exit 2
fi
if ! commit=$(git rev-parse --quiet --verify "$before^{commit}"); then
  if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
    say "commit $before is not here, because the clone is shallow: run  git fetch --unshallow  and try again"
  else
    say "there is no commit $before here"
  fi
  exit 2
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/bellhop-upgrade.XXXXXX")
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  git worktree remove --force "$work/before" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT

# Both are built into one folder: what they depend on is built once. The program is copied before the next one takes
# its place.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
git worktree add --quiet --detach "$work/before" "$commit"
say "building $(git log -1 --format='%h (%s)' "$commit")"
(cd "$work/before" && SQLX_OFFLINE=true timeout 1800 cargo build --locked --quiet)
cp "$CARGO_TARGET_DIR/debug/bellhop" "$work/bellhop-before"

say "building this version, and running both"
BELLHOP_BEFORE=$work/bellhop-before timeout 1800 scripts/test-database.sh \
  cargo test --locked --quiet --test it upgrade::side_by_side -- --ignored --nocapture --test-threads 1
