//! `packaging/kubernetes`: the base, the monitoring, and the example of an overlay.

use std::{collections::BTreeSet, process::Command, time::Duration};

use serde_json::Value;

use super::{Mounted, image, list, root, string, strings, takes, text, variables_exist, yaml};

const BASE: &str = "packaging/kubernetes/base";

/// An object of the base.
fn object(kind: &str, name: &str) -> Value {
    let kustomization = yaml(&format!("{BASE}/kustomization.yaml")).remove(0);
    let files = strings(&kustomization, "/resources");
    let mut objects = files.iter().flat_map(|file| yaml(&format!("{BASE}/{file}")));
    let found = objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn set() -> Value {
    object("StatefulSet", "bellhop")
}

fn pod(set: &Value) -> &Value {
    &set["spec"]["template"]["spec"]
}

fn container(set: &Value) -> &Value {
    &pod(set)["containers"][0]
}

/// What the probes and Prometheus ask Bellhop, by listener.
pub(super) fn asked() -> Vec<(String, String)> {
    let set = set();
    let probes = ["startupProbe", "readinessProbe", "livenessProbe"].map(|name| &container(&set)[name]["httpGet"]);
    let monitor = yaml("packaging/kubernetes/monitoring/servicemonitor.yaml").remove(0);
    let endpoints = list(&monitor, "/spec/endpoints");
    let asked = probes.into_iter().chain(endpoints);
    asked
        .map(|asked| (string(asked, "/port").to_owned(), string(asked, "/path").to_owned()))
        .collect()
}

/// Where a volume is mounted.
fn mounted_at(set: &Value, name: &str) -> String {
    let mounts = list(container(set), "/volumeMounts");
    let mount = mounts.iter().find(|mount| mount["name"] == name);
    string(mount.unwrap_or_else(|| panic!("{name} is mounted")), "/mountPath").to_owned()
}

#[test]
fn what_is_selected_are_the_pods_and_no_others() {
    let set = set();
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert!(labels.as_object().is_some_and(|labels| labels.len() == 2));
    let selectors = [
        set["spec"]["selector"]["matchLabels"].clone(),
        object("Service", "bellhop")["spec"]["selector"].clone(),
        object("Service", "bellhop-operator")["spec"]["selector"].clone(),
        object("PodDisruptionBudget", "bellhop")["spec"]["selector"]["matchLabels"].clone(),
        object("NetworkPolicy", "bellhop")["spec"]["podSelector"]["matchLabels"].clone(),
        pod(&set)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].clone(),
        pod(&set)["topologySpreadConstraints"][1]["labelSelector"]["matchLabels"].clone(),
    ];
    for selector in &selectors {
        assert_eq!(selector, labels);
    }
    assert_eq!(string(&set, "/spec/serviceName"), "bellhop-operator");
}

#[test]
fn the_operators_listener_is_reached_from_inside_alone() {
    let ingress = text("packaging/kubernetes/example/ingress.yaml");
    assert!(!ingress.contains("operator:") && !ingress.contains("9090") && !ingress.contains("bellhop-operator"));
    let behind = yaml("packaging/kubernetes/example/ingress.yaml").remove(0);
    let backend = "/spec/rules/0/http/paths/0/backend/service";
    assert_eq!(string(&behind, &format!("{backend}/name")), "bellhop");
    let public = object("Service", "bellhop");
    assert_eq!(list(&public, "/spec/ports").len(), 1);
    assert_eq!(string(&public, "/spec/ports/0/targetPort"), "public");
    assert!(public["spec"].get("type").is_none(), "of the cluster");
    let inside = object("Service", "bellhop-operator");
    assert_eq!(string(&inside, "/spec/clusterIP"), "None");
    assert_eq!(string(&inside, "/spec/ports/0/targetPort"), "operator");
    let policy = object("NetworkPolicy", "bellhop");
    for rule in list(&policy, "/spec/ingress") {
        let open = rule.get("from").is_none();
        assert_eq!(open, rule["ports"][0]["port"] == "public", "{rule}");
    }
}

#[test]
fn times_ports_folders_and_secrets_agree_with_the_configuration_which_has_no_mistakes() {
    let example = text("packaging/kubernetes/example/kustomization.yaml");
    assert!(example.contains("name: BELLHOP_SERVER__PUBLIC_URL"));
    variables_exist("packaging/kubernetes/example/kustomization.yaml");
    let environment = [("BELLHOP_SERVER__PUBLIC_URL", "https://hooks.example.com")];
    let mounted = Mounted::new(&format!("{BASE}/config"), &environment);
    let (set, config) = (set(), &mounted.config);
    let end = pod(&set)["terminationGracePeriodSeconds"].as_u64().expect("seconds");
    assert!(Duration::from_secs(end) > mounted.grace());
    let probe = &container(&set)["readinessProbe"];
    let noticed = probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
    assert!(config.server.drain_delay > Duration::from_secs(noticed));
    let port = |name: &str| {
        let ports = list(container(&set), "/ports").iter().find(|port| port["name"] == name);
        ports.expect("a port")["containerPort"].as_u64().unwrap()
    };
    assert_eq!(port("public"), u64::from(config.server.listen.port()));
    assert_eq!(port("operator"), u64::from(config.operator.listen.port()));
    assert!(config.operator.listen.ip().is_unspecified() && config.server.listen.ip().is_unspecified());
    takes(&strings(container(&set), "/args"));
    assert_eq!(mounted_at(&set, "secrets"), "/run/secrets");
    let file = image::variable("BELLHOP_CONFIG");
    assert_eq!(file, format!("{}/bellhop.toml", mounted_at(&set, "config")));
    assert!(image::variable("BELLHOP_SPOOL__DIR").starts_with(&format!("{}/", mounted_at(&set, "state"))));
    // The claim is larger than the spool, by what a file system takes for itself.
    let claim = string(&set, "/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
    let gibibytes: u64 = claim.strip_suffix("Gi").expect("Gi").parse().unwrap();
    assert!(config.spool.limit * 5 / 4 <= gibibytes << 30);
    // What the guide has people make are the files that the configuration names.
    let guide = text("docs/deploy.md");
    let command = guide
        .split("kubectl --namespace bellhop create secret generic")
        .nth(1)
        .expect("the command");
    let command = command.split("```").next().unwrap();
    let made: BTreeSet<&str> = command
        .split("--from-file=")
        .skip(1)
        .map(|rest| rest.split('=').next().unwrap())
        .collect();
    assert_eq!(made, mounted.secrets.iter().map(String::as_str).collect());
    assert!(
        command
            .trim_start()
            .starts_with(string(&set, "/spec/template/spec/volumes/1/secret/secretName"))
    );
}

#[test]
fn the_pod_is_what_the_restricted_standard_admits() {
    let set = set();
    let (pod, container) = (pod(&set), container(&set));
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["runAsUser"], image::user());
    assert_eq!(pod["securityContext"]["fsGroup"], image::user());
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let context = &container["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert_eq!(set["spec"]["replicas"], 2);
    let namespace = yaml("packaging/kubernetes/example/namespace.yaml").remove(0);
    let level = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(level, "restricted");
}

#[test]
fn every_rule_file_is_mounted() {
    let kustomization = yaml(&format!("{BASE}/kustomization.yaml")).remove(0);
    let generated = strings(&kustomization, "/configMapGenerator/1/files");
    let set = set();
    let items = list(pod(&set), "/volumes/0/projected/sources/1/configMap/items");
    let mounted: Vec<String> = items
        .iter()
        .map(|item| format!("config/{}", string(item, "/path")))
        .collect();
    assert_eq!(mounted, generated);
    for file in generated {
        assert!(!text(&format!("{BASE}/{file}")).is_empty());
    }
}

#[test]
fn the_alert_rules_of_the_prometheus_operator_are_those_of_prometheus() {
    let name = "packaging/kubernetes/monitoring/prometheusrule.yaml";
    let output = Command::new(root().join("scripts/prometheus-rule.sh"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let made = String::from_utf8(output.stdout).unwrap();
    assert!(
        made == text(name),
        "the rules were changed: scripts/prometheus-rule.sh >{name}"
    );
    let rules = yaml("grafana/alerts/bellhop.rules.yml").remove(0);
    assert_eq!(yaml(name).remove(0)["spec"], rules);
}
