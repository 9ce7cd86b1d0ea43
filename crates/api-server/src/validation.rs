//! The rules that make an object invalid although its types are right.
//!
//! Source: `pkg/apis/*/validation` of Kubernetes 1.34, as far as application charts meet them.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{meta, registry::Kind, status::Cause};

mod update;

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUANTITY: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Why `object` is not acceptable; `live` is what it was before an update.
pub(crate) fn check(kind: &Kind, object: &Value, live: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    metadata(kind, object, &mut causes);
    let spec = &object["spec"];
    match kind.kind {
        "Pod" => pod_spec(spec, "spec", &mut causes),
        "Deployment" | "ReplicaSet" | "DaemonSet" => {
            workload(spec, &mut causes);
            pod_spec(&spec["template"]["spec"], "spec.template.spec", &mut causes);
        }
        // as upstream: mounts of claims that are yet to be made cannot be checked, so no pod is
        "StatefulSet" => workload(spec, &mut causes),
        "Job" => pod_spec(&spec["template"]["spec"], "spec.template.spec", &mut causes),
        "Service" => service(spec, &mut causes),
        "PersistentVolumeClaim" => claim(spec, &mut causes),
        "Ingress" => ingress(spec, &mut causes),
        "HorizontalPodAutoscaler" => autoscaler(spec, &mut causes),
        _ => {}
    }
    if let Some(live) = live {
        update::check(kind, object, live, &mut causes);
    }
    causes
}

fn metadata(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let name = meta::name(object);
    let why = match kind.kind {
        // the names of roles may hold colons: they are path segments only
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => None,
        "Namespace" | "Service" | "StatefulSet" => (!is_dns_label(name)).then_some(DNS_LABEL),
        _ => (!is_dns_subdomain(name)).then_some(DNS_SUBDOMAIN),
    };
    if let Some(why) = why {
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
    labels(&object["metadata"]["labels"], "metadata.labels", causes);
}

fn is_dns_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(edge) && name.ends_with(edge) && name.chars().all(|c| edge(c) || c == '-')
}

fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_dns_name(name)
}

fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_name)
}

fn labels(labels: &Value, field: &str, causes: &mut Vec<Cause>) {
    for value in labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, value)| value.as_str())
    {
        if value.len() > 63 {
            causes.push(Cause::invalid(
                field,
                &json!(value),
                "must be no more than 63 bytes",
            ));
        }
        let edge = |c: char| c.is_ascii_alphanumeric();
        let plain = value.chars().all(|c| edge(c) || "-_.".contains(c));
        let fits = plain && value.starts_with(edge) && value.ends_with(edge);
        if !value.is_empty() && !fits {
            causes.push(Cause::invalid(field, &json!(value), LABEL_VALUE));
        }
    }
}

fn workload(spec: &Value, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let mut wanted = selector["matchLabels"].as_object().into_iter().flatten();
    if wanted.any(|(key, value)| labels.get(key) != Some(value)) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        causes.push(Cause::invalid(
            "spec.replicas",
            &spec["replicas"],
            "must be greater than or equal to 0",
        ));
    }
    self::labels(labels, "spec.template.metadata.labels", causes);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if policy != "Always" {
        causes.push(Cause::unsupported(
            "spec.template.spec.restartPolicy",
            policy,
            &["Always"],
        ));
    }
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
    value[field].as_array().into_iter().flatten().enumerate()
}

fn pod_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    const POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
    if items(spec, "containers").next().is_none() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let policy = &spec["restartPolicy"];
    if !POLICIES.iter().any(|one| policy == one) {
        causes.push(Cause::unsupported(
            format!("{path}.restartPolicy"),
            policy,
            &POLICIES,
        ));
    }
    let volumes = volumes(spec, path, causes);
    let mut names = HashSet::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(spec, list) {
            let field = format!("{path}.{list}[{index}]");
            let name = container["name"].as_str().unwrap_or_default();
            if !name.is_empty() && !names.insert(name) {
                causes.push(Cause::duplicate(format!("{field}.name"), &json!(name)));
            }
            self::container(container, &field, &volumes, causes);
        }
    }
}

fn volumes<'a>(spec: &'a Value, path: &str, causes: &mut Vec<Cause>) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (index, volume) in items(spec, "volumes") {
        let field = format!("{path}.volumes[{index}]");
        let name = volume["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{field}.name"), &json!(name)));
        }
        if volume.as_object().is_some_and(|volume| volume.len() < 2) {
            causes.push(Cause::required(field, "must specify a volume type"));
        }
    }
    names
}

fn container(container: &Value, field: &str, volumes: &HashSet<&str>, causes: &mut Vec<Cause>) {
    match container["name"].as_str() {
        None | Some("") => causes.push(Cause::required(format!("{field}.name"), "")),
        Some(name) if !is_dns_label(name) => {
            causes.push(Cause::invalid(format!("{field}.name"), &json!(name), DNS_LABEL));
        }
        Some(_) => {}
    }
    if container["image"].as_str().is_none_or(str::is_empty) {
        causes.push(Cause::required(format!("{field}.image"), ""));
    }
    mounts(container, field, volumes, causes);
    for (index, port) in items(container, "ports") {
        self::port(
            &port["containerPort"],
            format!("{field}.ports[{index}].containerPort"),
            causes,
        );
    }
    environment(container, field, causes);
    resources(container, field, causes);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        self::probe(&container[probe], &format!("{field}.{probe}"), causes);
    }
}

fn mounts(container: &Value, field: &str, volumes: &HashSet<&str>, causes: &mut Vec<Cause>) {
    let mut paths = HashSet::new();
    for (index, mount) in items(container, "volumeMounts") {
        let field = format!("{field}.volumeMounts[{index}]");
        let name = mount["name"].as_str().unwrap_or_default();
        if !volumes.contains(name) {
            causes.push(Cause::not_found(format!("{field}.name"), name));
        }
        let path = mount["mountPath"].as_str().unwrap_or_default();
        if path.is_empty() {
            causes.push(Cause::required(format!("{field}.mountPath"), ""));
        } else if !paths.insert(path) {
            causes.push(Cause::invalid(
                format!("{field}.mountPath"),
                &json!(path),
                "must be unique",
            ));
        }
    }
}

fn environment(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    for (index, variable) in items(container, "env") {
        let place = format!("{field}.env[{index}]");
        if variable["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{place}.name"), ""));
        }
        let has_value = variable["value"].as_str().is_some_and(|value| !value.is_empty());
        if has_value && variable["valueFrom"].is_object() {
            let why = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{place}.valueFrom"), &json!(""), why));
        }
    }
}

fn resources(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let resources = &container["resources"];
    for list in ["limits", "requests"] {
        for (resource, quantity) in resources[list].as_object().into_iter().flatten() {
            let place = format!("{field}.resources.{list}.{resource}");
            let limit = resources["limits"][resource].as_str();
            match quantity.as_str().and_then(parse_quantity) {
                None => causes.push(Cause::invalid(place, quantity, QUANTITY)),
                Some(amount) if amount < 0.0 => {
                    causes.push(Cause::invalid(
                        place,
                        quantity,
                        "must be greater than or equal to 0",
                    ));
                }
                Some(amount) if list == "requests" => {
                    if let Some(limit) =
                        limit.filter(|limit| parse_quantity(limit).is_some_and(|limit| amount > limit))
                    {
                        let why = format!("must be less than or equal to {resource} limit of {limit}");
                        causes.push(Cause::invalid(
                            format!("{field}.resources.requests"),
                            quantity,
                            &why,
                        ));
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// The amount of a quantity such as `500m` or `1Gi`; `None` when it is none.
fn parse_quantity(text: &str) -> Option<f64> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024_f64,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

fn probe(probe: &Value, field: &str, causes: &mut Vec<Cause>) {
    if probe.is_null() {
        return;
    }
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    match handlers.iter().filter(|kind| probe[**kind].is_object()).count() {
        0 => causes.push(Cause::required(field, "must specify a handler type")),
        1 => {}
        _ => causes.push(Cause::forbidden(
            field,
            "may not specify more than 1 handler type",
        )),
    }
}

fn port(port: &Value, field: String, causes: &mut Vec<Cause>) {
    match port.as_i64() {
        None => causes.push(Cause::required(field, "")),
        Some(1..=65535) => {}
        Some(_) => causes.push(Cause::invalid(
            field,
            port,
            "must be between 1 and 65535, inclusive",
        )),
    }
}

fn service(spec: &Value, causes: &mut Vec<Cause>) {
    const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !TYPES.iter().any(|one| spec["type"] == *one) {
        causes.push(Cause::unsupported("spec.type", &spec["type"], &TYPES));
    }
    let count = items(spec, "ports").count();
    if count == 0 && spec["clusterIP"] != "None" && spec["type"] != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let (mut names, mut ports) = (HashSet::new(), HashSet::new());
    for (index, port) in items(spec, "ports") {
        let field = format!("spec.ports[{index}]");
        self::port(&port["port"], format!("{field}.port"), causes);
        match port["name"].as_str() {
            None | Some("") if count > 1 => causes.push(Cause::required(format!("{field}.name"), "")),
            Some(name) if !name.is_empty() && !names.insert(name) => {
                causes.push(Cause::duplicate(format!("{field}.name"), &port["name"]));
            }
            _ => {}
        }
        if spec["type"] == "ClusterIP" && port["nodePort"].as_i64().is_some_and(|port| port != 0) {
            let why = "may not be used when `type` is 'ClusterIP'";
            causes.push(Cause::forbidden(format!("{field}.nodePort"), why));
        }
        if !ports.insert((port["protocol"].as_str(), port["port"].as_i64())) {
            let value = json!({"protocol": port["protocol"], "port": port["port"]});
            causes.push(Cause::duplicate(field, &value));
        }
    }
}

fn claim(spec: &Value, causes: &mut Vec<Cause>) {
    if items(spec, "accessModes").next().is_none() {
        causes.push(Cause::required(
            "spec.accessModes",
            "at least 1 access mode is required",
        ));
    }
    if spec["resources"]["requests"]["storage"].is_null() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
}

fn ingress(spec: &Value, causes: &mut Vec<Cause>) {
    const KINDS: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
    if spec["rules"].is_null() && spec["defaultBackend"].is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &json!({}), why));
    }
    for (rule_index, rule) in items(spec, "rules") {
        for (index, path) in items(&rule["http"], "paths") {
            let field = format!("spec.rules[{rule_index}].http.paths[{index}]");
            let kind = &path["pathType"];
            if kind.is_null() {
                causes.push(Cause::required(
                    format!("{field}.pathType"),
                    "pathType must be specified",
                ));
            } else if !KINDS.iter().any(|one| kind == one) {
                causes.push(Cause::unsupported(format!("{field}.pathType"), kind, &KINDS));
            }
            let is_absolute = path["path"].as_str().is_some_and(|path| path.starts_with('/'));
            if !is_absolute && kind != "ImplementationSpecific" {
                causes.push(Cause::invalid(
                    format!("{field}.path"),
                    &path["path"],
                    "must be an absolute path",
                ));
            }
        }
    }
}

fn autoscaler(spec: &Value, causes: &mut Vec<Cause>) {
    let (min, max) = (
        spec["minReplicas"].as_i64().unwrap_or(1),
        spec["maxReplicas"].as_i64().unwrap_or(0),
    );
    if min < 1 {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", &spec["minReplicas"], why));
    }
    if max < 1 {
        causes.push(Cause::invalid(
            "spec.maxReplicas",
            &spec["maxReplicas"],
            "must be greater than 0",
        ));
    } else if max < min {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &spec["maxReplicas"], why));
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::registry::named;

    fn deployment() -> Value {
        let mut object = json!({"metadata": {"name": "web"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "containers": [{"name": "c", "image": "x"}],
            }},
        }});
        crate::defaults::apply(named("Deployment"), &mut object);
        object
    }

    fn messages(object: &Value, live: Option<&Value>) -> Vec<String> {
        let causes = check(named("Deployment"), object, live);
        causes
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn a_plain_deployment_is_valid() {
        assert_eq!(messages(&deployment(), None), Vec::<String>::new());
    }

    #[rstest]
    #[case("/metadata/name", json!("Web"), "metadata.name: Invalid value")]
    #[case("/spec/template/metadata/labels", json!({"app": "x"}), "`selector` does not match template `labels`")]
    #[case("/spec/template/spec/containers", json!([]), "spec.template.spec.containers: Required value")]
    #[case("/spec/template/spec/containers/0/image", json!(""), "containers[0].image: Required value")]
    #[case("/spec/template/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/"}]),
        r#"containers[0].volumeMounts[0].name: Not found: "v""#)]
    #[case("/spec/template/spec/containers/0/ports", json!([{"containerPort": 0}]), "must be between 1 and 65535")]
    #[case("/spec/template/spec/containers/0/resources", json!({"limits": {"cpu": "x"}}), "quantities must match")]
    #[case("/spec/template/spec/containers/0/resources",
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}}), "must be less than or equal to cpu limit of 1")]
    #[case("/spec/template/spec/containers/0/livenessProbe", json!({}), "must specify a handler type")]
    #[case("/spec/template/spec/restartPolicy", json!("Never"), r#"supported values: "Always""#)]
    fn each_rule_is_seen_to_refuse(#[case] pointer: &str, #[case] value: Value, #[case] expected: &str) {
        let mut object = deployment();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
            other => other[field] = value,
        }
        let messages = messages(&object, None);
        assert!(
            messages.iter().any(|message| message.contains(expected)),
            "{messages:?}"
        );
    }

    #[test]
    fn a_selector_does_not_change() {
        let mut object = deployment();
        object["spec"]["selector"]["matchLabels"] = json!({});
        let messages = messages(&object, Some(&deployment()));
        assert!(
            messages
                .iter()
                .any(|message| message.contains("field is immutable")),
            "{messages:?}"
        );
    }

    #[rstest]
    #[case("1", Some(1.0))]
    #[case("500m", Some(0.5))]
    #[case("1Gi", Some(1_073_741_824.0))]
    #[case("1e3", Some(1000.0))]
    #[case("1.5", Some(1.5))]
    #[case("x", None)]
    #[case("1Q", None)]
    fn quantities_are_read(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(parse_quantity(text), expected);
    }
}
