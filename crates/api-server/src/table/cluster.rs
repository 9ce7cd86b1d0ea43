//! What belongs to the cluster or to a namespace as a whole.

use serde_json::Value;

use super::{Column, cell::*, column, wide};
use crate::meta;

/// The columns after the name, of the kinds of this module.
pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    Some(match kind {
        "ConfigMap" => vec![column("Data", data_count), AGE],
        "Secret" => secret_columns(),
        "Namespace" => vec![column("Status", |object| object["status"]["phase"].clone()), AGE],
        "Node" => node_columns(),
        "Event" => event_columns(),
        "ServiceAccount" => vec![column("Secrets", |object| count(&object["secrets"])), AGE],
        "Lease" => vec![
            column("Holder", |object| plain(&object["spec"]["holderIdentity"]).into()),
            AGE,
        ],
        "LimitRange" | "Role" | "ClusterRole" => vec![column("Created At", |object| {
            object["metadata"]["creationTimestamp"].clone()
        })],
        "ResourceQuota" => quota_columns(),
        "RoleBinding" | "ClusterRoleBinding" => role_binding_columns(),
        "PriorityClass" => priority_columns(),
        _ => return None,
    })
}

fn node_columns() -> Vec<Column> {
    vec![
        column("Status", |node| {
            let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            let ready = conditions
                .filter(|one| one["type"] == "Ready")
                .any(|one| one["status"] == "True");
            let cordoned = if node["spec"]["unschedulable"] == true {
                ",SchedulingDisabled"
            } else {
                ""
            };
            format!("{}{cordoned}", if ready { "Ready" } else { "NotReady" }).into()
        }),
        column("Roles", |node| {
            let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
            let roles: Vec<&str> = labels
                .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
                .collect();
            if roles.is_empty() {
                "<none>".into()
            } else {
                roles.join(",").into()
            }
        }),
        AGE,
        column("Version", |node| {
            node["status"]["nodeInfo"]["kubeletVersion"].clone()
        }),
        wide("Internal-IP", |node| {
            or_none(&node["status"]["addresses"][0]["address"])
        }),
        wide("External-IP", |_| "<none>".into()),
        wide("OS-Image", |node| node["status"]["nodeInfo"]["osImage"].clone()),
        wide("Kernel-Version", |node| {
            node["status"]["nodeInfo"]["kernelVersion"].clone()
        }),
        wide("Container-Runtime", |node| {
            node["status"]["nodeInfo"]["containerRuntimeVersion"].clone()
        }),
    ]
}

fn event_columns() -> Vec<Column> {
    vec![
        // the first column is dropped for events, so this one stands for it
        column("Last Seen", |event| {
            let last = [
                &event["lastTimestamp"],
                &event["eventTime"],
                &event["metadata"]["creationTimestamp"],
            ];
            last.into_iter()
                .find(|time| time.is_string())
                .map_or_else(String::new, age)
                .into()
        }),
        column("Type", |event| event["type"].clone()),
        column("Reason", |event| event["reason"].clone()),
        column("Object", |event| {
            let object = &event["involvedObject"];
            format!(
                "{}/{}",
                plain(&object["kind"]).to_lowercase(),
                plain(&object["name"])
            )
            .into()
        }),
        wide("Subobject", |event| event["involvedObject"]["fieldPath"].clone()),
        wide("Source", |event| event["source"]["component"].clone()),
        column("Message", |event| {
            event["message"].as_str().unwrap_or_default().trim().into()
        }),
        wide("First Seen", |event| age(&event["firstTimestamp"]).into()),
        wide("Count", |event| number(&event["count"])),
        wide("Name", |event| meta::name(event).into()),
    ]
}

fn quota_columns() -> Vec<Column> {
    fn used(object: &Value, is_shown: fn(&str) -> bool) -> Value {
        let hard = object["status"]["hard"].as_object().into_iter().flatten();
        let lines = hard
            .filter(|(resource, _)| is_shown(resource))
            .map(|(resource, hard)| {
                format!(
                    "{resource}: {}/{}",
                    plain(&object["status"]["used"][resource]),
                    plain(hard)
                )
            });
        lines.collect::<Vec<_>>().join(", ").into()
    }
    vec![
        column("Request", |object| {
            used(object, |resource| !resource.starts_with("limits"))
        }),
        column("Limit", |object| {
            used(object, |resource| resource.starts_with("limits"))
        }),
        AGE,
    ]
}

fn role_binding_columns() -> Vec<Column> {
    fn subjects(object: &Value, kind: &str) -> Value {
        let all = object["subjects"].as_array().into_iter().flatten();
        let names = all.filter(|one| one["kind"] == kind).map(|one| {
            let namespace = plain(&one["namespace"]);
            if namespace.is_empty() {
                plain(&one["name"])
            } else {
                format!("{namespace}/{}", plain(&one["name"]))
            }
        });
        names.collect::<Vec<_>>().join(", ").into()
    }
    vec![
        column("Role", |object| {
            format!(
                "{}/{}",
                plain(&object["roleRef"]["kind"]),
                plain(&object["roleRef"]["name"])
            )
            .into()
        }),
        AGE,
        wide("Users", |object| subjects(object, "User")),
        wide("Groups", |object| subjects(object, "Group")),
        wide("ServiceAccounts", |object| subjects(object, "ServiceAccount")),
    ]
}

fn secret_columns() -> Vec<Column> {
    vec![
        column("Type", |object| object["type"].clone()),
        column("Data", data_count),
        AGE,
    ]
}

fn priority_columns() -> Vec<Column> {
    vec![
        column("Value", |object| number(&object["value"])),
        column("Global-Default", |object| {
            (object["globalDefault"] == true).into()
        }),
        AGE,
        column("PreemptionPolicy", |object| {
            plain(&object["preemptionPolicy"]).into()
        }),
    ]
}
