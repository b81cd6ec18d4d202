#!/usr/bin/env bash
# The long form of the fault suite:
#
#   scripts/faults.sh [--minutes N] [--seed N] [--rounds N] [--short 1]
#
# Rounds until the time is over (5 minutes unless asked otherwise; the round under way is finished), beginning with the
# seed, which is random unless given; with --short, rounds of the size that `make test` plays. A round that breaks a promise prints the command that repeats it.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
usage() { echo "usage: faults.sh [--minutes N] [--seed N] [--rounds N] [--short 1]" >&2; exit 2; }
while [ $# -gt 0 ]; do
  [[ ${2:-} =~ ^[0-9]+$ ]] || usage
  case $1 in
    --minutes) export FAULTS_MINUTES=$2 ;;
    --seed) export FAULTS_SEED=$2 ;;
    --short) export FAULTS_SHORT=$2 ;;
    --rounds) export FAULTS_ROUNDS=$2 ;;
    *) usage ;;
  esac
  shift 2
done
exec cargo test --locked --test it faults::the_long_form -- --exact --ignored --nocapture
