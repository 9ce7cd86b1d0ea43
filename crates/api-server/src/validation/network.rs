//! Services and ingresses.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{items, port as port_number};
use crate::status::Cause;

pub(super) fn service(spec: &Value, causes: &mut Vec<Cause>) {
    const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if spec["type"] == "ExternalName" && spec["externalName"].as_str().is_none_or(str::is_empty) {
        causes.push(Cause::required("spec.externalName", ""));
    }
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
        port_number(&port["port"], format!("{field}.port"), causes);
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

pub(super) fn ingress(spec: &Value, causes: &mut Vec<Cause>) {
    const KINDS: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
    if spec["rules"].is_null() && spec["defaultBackend"].is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &json!({}), why));
    }
    for (rule_index, rule) in items(spec, "rules") {
        for (index, path) in items(&rule["http"], "paths") {
            let field = format!("spec.rules[{rule_index}].http.paths[{index}]");
            let kind = &path["pathType"];
            if kind.as_str().is_none_or(str::is_empty) {
                causes.push(Cause::required(
                    format!("{field}.pathType"),
                    "pathType must be specified",
                ));
            } else if !KINDS.iter().any(|one| kind == one) {
                causes.push(Cause::unsupported(format!("{field}.pathType"), kind, &KINDS));
            }
            backend(&path["backend"], &format!("{field}.backend"), causes);
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

fn backend(backend: &Value, field: &str, causes: &mut Vec<Cause>) {
    let service = &backend["service"];
    if service.is_null() && backend["resource"].is_null() {
        causes.push(Cause::required(field, "resource or service backend is required"));
    }
    if !service.is_null() && service["port"]["name"].is_null() && service["port"]["number"].is_null() {
        causes.push(Cause::required(field, "port name or number is required"));
    }
}
