// Holds the objects of the Prometheus operator in a JSON list against its schemas. To be run where the package is.
import { readFileSync } from "node:fs";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

const kinds = { PrometheusRule, ServiceMonitor };
const objects = JSON.parse(readFileSync(process.argv[2])).filter((object) => object.kind in kinds);
if (objects.length !== 2) throw new Error(`${objects.length} objects, and 2 are expected`);
for (const object of objects) new kinds[object.kind](object).validate();
