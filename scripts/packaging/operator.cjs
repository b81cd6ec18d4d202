// Holds the objects of the Prometheus operator in a JSON list against its schemas.
const { readFileSync } = require("node:fs");
const group = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
const { PrometheusRule } = require(`${group}/PrometheusRule`);
const { ServiceMonitor } = require(`${group}/ServiceMonitor`);

const kinds = { PrometheusRule, ServiceMonitor };
const objects = JSON.parse(readFileSync(process.argv[2])).filter((object) => object.kind in kinds);
if (objects.length !== 2) throw new Error(`${objects.length} objects, and 2 are expected`);
for (const object of objects) new kinds[object.kind](object).validate();
