//! Defaults of Services, their endpoints, and network policies.

use serde_json::{Value, json};

use super::{default, each};

pub(super) fn service(spec: &mut Value) {
    default(spec, "type", "ClusterIP");
    default(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "ClientIP" {
        default(
            spec,
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": 10800}}),
        );
    }
    each(spec, "ports", |port| {
        default(port, "protocol", "TCP");
        let number = port["port"].clone();
        default(port, "targetPort", number);
    });
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return;
    }
    default(spec, "internalTrafficPolicy", "Cluster");
    let headless_without_selector = spec["clusterIP"] == "None" && spec["selector"].is_null();
    if headless_without_selector {
        default(spec, "ipFamilyPolicy", "RequireDualStack");
        default(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
    }
    default(spec, "ipFamilyPolicy", "SingleStack");
    default(spec, "ipFamilies", json!(["IPv4"]));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
}

pub(super) fn endpoints(object: &mut Value) {
    each(object, "subsets", |subset| {
        each(subset, "ports", |port| default(port, "protocol", "TCP"))
    });
}

pub(super) fn endpoint_slice(object: &mut Value) {
    each(object, "ports", |port| {
        default(port, "name", "");
        default(port, "protocol", "TCP");
    });
}

pub(super) fn network_policy(spec: &mut Value) {
    for direction in ["ingress", "egress"] {
        each(spec, direction, |rule| {
            each(rule, "ports", |port| default(port, "protocol", "TCP"))
        });
    }
    let has_egress = spec["egress"].as_array().is_some_and(|rules| !rules.is_empty());
    default(
        spec,
        "policyTypes",
        if has_egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        },
    );
}
