#!/usr/bin/env bash
# The alert rules as the Prometheus operator wants them, to standard output. After a change of the rules:
#
#   scripts/prometheus-rule.sh >packaging/kubernetes/monitoring/prometheusrule.yaml
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
cat <<'HEAD'
# Made by scripts/prometheus-rule.sh from grafana/alerts/bellhop.rules.yml; change them there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: bellhop
  labels:
    app.kubernetes.io/name: bellhop
spec:
HEAD
sed -n '/^groups:/,$p' grafana/alerts/bellhop.rules.yml | sed 's/^./  &/'
