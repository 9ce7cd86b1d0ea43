//! Pods and pod templates.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    items,
    metadata::{DNS_LABEL, is_dns_label, labels},
    one_of, port as port_number,
};
use crate::{quantity::Quantity, status::Cause};

/// The fields of a pod that its containers may be told.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// The spec of a pod or template at `path`.
pub(super) fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if items(spec, "containers").next().is_none() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    one_of(
        &spec["restartPolicy"],
        format!("{path}.restartPolicy"),
        &RESTART_POLICIES,
        causes,
    );
    one_of(
        &spec["dnsPolicy"],
        format!("{path}.dnsPolicy"),
        &DNS_POLICIES,
        causes,
    );
    labels(&spec["nodeSelector"], &format!("{path}.nodeSelector"), causes);
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|seconds| seconds < 1) {
        let why = "must be between 1 and 2147483647, inclusive";
        causes.push(Cause::invalid(
            format!("{path}.activeDeadlineSeconds"),
            deadline,
            why,
        ));
    }
    for (index, toleration) in items(spec, "tolerations") {
        let field = format!("{path}.tolerations[{index}].operator");
        one_of(&toleration["operator"], field, &["Equal", "Exists"], causes);
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
            container_at(container, &field, &volumes, causes);
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
        source(volume, &field, causes);
    }
    names
}

/// The order in which sources are looked at: the first one is the volume's, further ones are too many.
const SOURCES: [&str; 7] = [
    "emptyDir",
    "hostPath",
    "secret",
    "persistentVolumeClaim",
    "downwardAPI",
    "configMap",
    "projected",
];

/// A volume has one source, which says what it is to hold.
fn source(volume: &Value, field: &str, causes: &mut Vec<Cause>) {
    let fields = volume
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str());
    let mut sources: Vec<&str> = fields.filter(|key| *key != "name").collect();
    sources.sort_by_key(|source| {
        SOURCES
            .iter()
            .position(|one| one == source)
            .unwrap_or(SOURCES.len())
    });
    let mut sources = sources.into_iter();
    if sources.next().is_none() {
        causes.push(Cause::required(field, "must specify a volume type"));
    }
    for other in sources {
        causes.push(Cause::forbidden(
            format!("{field}.{other}"),
            "may not specify more than 1 volume type",
        ));
    }
    for (kind, name) in [
        ("configMap", "name"),
        ("secret", "secretName"),
        ("persistentVolumeClaim", "claimName"),
    ] {
        let source = &volume[kind];
        if source.is_object() && source[name].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{field}.{kind}.{name}"), ""));
        }
    }
}

fn container_at(container: &Value, field: &str, volumes: &HashSet<&str>, causes: &mut Vec<Cause>) {
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
    let pull = format!("{field}.imagePullPolicy");
    one_of(
        &container["imagePullPolicy"],
        pull,
        &["Always", "IfNotPresent", "Never"],
        causes,
    );
    mounts(container, field, volumes, causes);
    ports(container, field, causes);
    environment(container, field, causes);
    resources(container, field, causes);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe_at(&container[probe], &format!("{field}.{probe}"), causes);
    }
}

fn ports(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let mut names = HashSet::new();
    for (index, port) in items(container, "ports") {
        let field = format!("{field}.ports[{index}]");
        if port["name"].as_str().is_some_and(|name| !names.insert(name)) {
            causes.push(Cause::duplicate(format!("{field}.name"), &port["name"]));
        }
        port_number(&port["containerPort"], format!("{field}.containerPort"), causes);
        one_of(
            &port["protocol"],
            format!("{field}.protocol"),
            &["SCTP", "TCP", "UDP"],
            causes,
        );
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
        let path = &variable["valueFrom"]["fieldRef"]["fieldPath"];
        let is_key =
            |path: &str| path.starts_with("metadata.labels['") || path.starts_with("metadata.annotations['");
        if path
            .as_str()
            .is_some_and(|path| !FIELDS.contains(&path) && !is_key(path))
        {
            let why = "error converting fieldPath: field label not supported";
            causes.push(Cause::invalid(
                format!("{place}.valueFrom.fieldRef.fieldPath"),
                path,
                why,
            ));
        }
    }
}

fn resources(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let resources = &container["resources"];
    let amount = |value: &Value| value.as_str().and_then(Quantity::parse);
    for list in ["limits", "requests"] {
        let quantities = resources[list].as_object().into_iter().flatten();
        for (resource, quantity) in quantities {
            if amount(quantity).is_some_and(Quantity::is_negative) {
                let place = format!("{field}.resources.{list}[{resource}]");
                causes.push(Cause::invalid(
                    place,
                    quantity,
                    "must be greater than or equal to 0",
                ));
            }
        }
    }
    for (resource, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][resource];
        if let (Some(asked), Some(allowed)) = (amount(request), amount(limit))
            && asked.is_above(allowed)
        {
            let why = format!("must be less than or equal to {resource} limit of {allowed}");
            causes.push(Cause::invalid(
                format!("{field}.resources.requests"),
                request,
                &why,
            ));
        }
    }
}

fn probe_at(probe: &Value, field: &str, causes: &mut Vec<Cause>) {
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
    let successes = &probe["successThreshold"];
    if !field.ends_with("readinessProbe") && successes.as_i64().is_some_and(|threshold| threshold != 1) {
        causes.push(Cause::invalid(
            format!("{field}.successThreshold"),
            successes,
            "must be 1",
        ));
    }
}
