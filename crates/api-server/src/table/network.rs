//! Services and the ways to them.

use serde_json::Value;

use super::{Column, cell::*, column, wide};

/// The columns after the name, of the kinds of this module.
pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    Some(match kind {
        "Service" => service_columns(),
        "Endpoints" => vec![column("Endpoints", endpoints), AGE],
        "EndpointSlice" => slice_columns(),
        "Ingress" => ingress_columns(),
        "IngressClass" => ingress_class_columns(),
        "NetworkPolicy" => policy_columns(),
        _ => return None,
    })
}

fn service_columns() -> Vec<Column> {
    vec![
        column("Type", |object| object["spec"]["type"].clone()),
        column("Cluster-IP", |object| or_none(&object["spec"]["clusterIP"])),
        column("External-IP", |object| match object["spec"]["type"].as_str() {
            Some("ExternalName") => object["spec"]["externalName"].clone(),
            Some("LoadBalancer") => "<pending>".into(),
            _ => "<none>".into(),
        }),
        column("Port(s)", |object| {
            joined(&object["spec"]["ports"], |port| match port["nodePort"].as_i64() {
                Some(node_port) => format!("{}:{node_port}/{}", port["port"], plain(&port["protocol"])),
                None => format!("{}/{}", port["port"], plain(&port["protocol"])),
            })
        }),
        AGE,
        wide("Selector", |object| pairs(&object["spec"]["selector"])),
    ]
}

fn endpoints(object: &Value) -> Value {
    let mut list = Vec::new();
    for subset in object["subsets"].as_array().into_iter().flatten() {
        for address in subset["addresses"].as_array().into_iter().flatten() {
            for port in subset["ports"].as_array().into_iter().flatten() {
                list.push(format!("{}:{}", plain(&address["ip"]), port["port"]));
            }
        }
    }
    match list.len() {
        0 => "<none>".into(),
        1..=3 => list.join(",").into(),
        more => format!("{} + {} more...", list[..3].join(","), more - 3).into(),
    }
}

fn ingress_columns() -> Vec<Column> {
    vec![
        column("Class", |object| or_none(&object["spec"]["ingressClassName"])),
        column("Hosts", |object| {
            joined(&object["spec"]["rules"], |rule| {
                rule["host"].as_str().unwrap_or("*").to_owned()
            })
        }),
        column("Address", |object| {
            joined_or_empty(&object["status"]["loadBalancer"]["ingress"], |one| {
                one["ip"]
                    .as_str()
                    .or(one["hostname"].as_str())
                    .unwrap_or_default()
                    .to_owned()
            })
        }),
        column("Ports", |object| {
            if object["spec"]["tls"].is_null() {
                "80".into()
            } else {
                "80, 443".into()
            }
        }),
        AGE,
    ]
}

fn slice_columns() -> Vec<Column> {
    vec![
        column("AddressType", |object| object["addressType"].clone()),
        column("Ports", |object| {
            joined(&object["ports"], |port| plain(&port["port"]))
        }),
        column("Endpoints", |object| {
            joined(&object["endpoints"], |one| plain(&one["addresses"][0]))
        }),
        AGE,
    ]
}

fn ingress_class_columns() -> Vec<Column> {
    vec![
        column("Controller", |object| object["spec"]["controller"].clone()),
        column("Parameters", |object| {
            let parameters = &object["spec"]["parameters"];
            if parameters.is_null() {
                return "<none>".into();
            }
            format!("{}/{}", plain(&parameters["kind"]), plain(&parameters["name"])).into()
        }),
        AGE,
    ]
}

fn policy_columns() -> Vec<Column> {
    vec![
        column("Pod-Selector", |object| {
            pairs(&object["spec"]["podSelector"]["matchLabels"])
        }),
        AGE,
    ]
}
