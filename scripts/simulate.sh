#!/usr/bin/env bash
# A year of many locations, with a third of all callbacks lost:
#
#   scripts/simulate.sh [--locations N] [--days N] [--step DAYS] [--seed N]
#
# In the end Bellhop, the sandbox and an oracle have to agree. 1000 locations for 365 days in steps of 7 unless asked
# otherwise; the seed is random unless given, and printed.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
usage() { echo "usage: simulate.sh [--locations N] [--days N] [--step DAYS] [--seed N]" >&2; exit 2; }
while [ $# -gt 0 ]; do
  [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage
  case $1 in
    --locations) export SIMULATE_LOCATIONS=$2 ;;
    --days) export SIMULATE_DAYS=$2 ;;
    --step) export SIMULATE_STEP=$2 ;;
    --seed) export SIMULATE_SEED=$2 ;;
    *) usage ;;
  esac
  shift 2
done
exec scripts/test-database.sh cargo test --locked --test it simulation::the_long_form -- --exact --ignored --nocapture
