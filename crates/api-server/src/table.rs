//! Tables: what `kubectl get` prints.
//!
//! Source of the columns: `pkg/printers/internalversion` of Kubernetes 1.34.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{meta, registry::Kind};

/// A column: its title, whether only `-o wide` shows it, and its cell.
struct Column {
    title: &'static str,
    wide: bool,
    cell: fn(&Value) -> Value,
}

const fn column(title: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column {
        title,
        wide: false,
        cell,
    }
}

const fn wide(title: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column {
        title,
        wide: true,
        cell,
    }
}

/// The table of some objects of a kind.
pub(crate) fn table(kind: &Kind, objects: &[&Value], metadata: &Value, include: Include) -> Value {
    let columns = columns(kind);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            let format = if column.title == "Name" { "name" } else { "" };
            json!({
                "name": column.title, "type": "string", "format": format,
                "description": column.title, "priority": i32::from(column.wide),
            })
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(object)).collect();
            json!({"cells": cells, "object": include.of(object)})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// What each row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    Object,
    Nothing,
}

impl Include {
    /// Reads the `includeObject` parameter.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Object") => Self::Object,
            Some("None") => Self::Nothing,
            _ => Self::Metadata,
        }
    }

    fn of(self, object: &Value) -> Value {
        match self {
            Self::Metadata => partial(object),
            Self::Object => object.clone(),
            Self::Nothing => Value::Null,
        }
    }
}

/// The `PartialObjectMetadata` of an object.
pub(crate) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
    })
}

fn columns(kind: &Kind) -> Vec<Column> {
    let mut columns = vec![column("Name", |object| meta::name(object).into())];
    columns.extend(match kind.kind {
        "Pod" => pod_columns(),
        "Deployment" => deployment_columns(),
        "ReplicaSet" => replica_set_columns(),
        "StatefulSet" => vec![
            column("Ready", ready_of_wanted),
            AGE,
            wide("Containers", |object| containers(object, "name")),
            wide("Images", |object| containers(object, "image")),
        ],
        "DaemonSet" => daemon_set_columns(),
        "Job" => job_columns(),
        "Service" => service_columns(),
        "Endpoints" => vec![column("Endpoints", endpoints), AGE],
        "EndpointSlice" => vec![
            column("AddressType", |object| object["addressType"].clone()),
            column("Ports", |object| {
                joined(&object["ports"], |port| plain(&port["port"]))
            }),
            column("Endpoints", |object| {
                joined(&object["endpoints"], |one| plain(&one["addresses"][0]))
            }),
            AGE,
        ],
        "ConfigMap" => vec![column("Data", data_count), AGE],
        "Secret" => vec![
            column("Type", |object| object["type"].clone()),
            column("Data", data_count),
            AGE,
        ],
        "Namespace" => vec![column("Status", |object| object["status"]["phase"].clone()), AGE],
        "Node" => node_columns(),
        "Event" => event_columns(),
        "PersistentVolumeClaim" => claim_columns(),
        "PersistentVolume" => volume_columns(),
        "ServiceAccount" => vec![column("Secrets", |object| count(&object["secrets"])), AGE],
        "Ingress" => ingress_columns(),
        "HorizontalPodAutoscaler" => autoscaler_columns(),
        "StorageClass" => vec![
            column("Provisioner", |object| object["provisioner"].clone()),
            column("ReclaimPolicy", |object| object["reclaimPolicy"].clone()),
            column("VolumeBindingMode", |object| object["volumeBindingMode"].clone()),
            column("AllowVolumeExpansion", |object| {
                (object["allowVolumeExpansion"] == true).into()
            }),
            AGE,
        ],
        "CronJob" => cron_job_columns(),
        "ControllerRevision" => vec![
            column("Controller", |object| {
                let mut owners = object["metadata"]["ownerReferences"]
                    .as_array()
                    .into_iter()
                    .flatten();
                let controller = owners.find(|owner| owner["controller"] == true);
                controller.map_or_else(
                    || "<none>".into(),
                    |owner| {
                        let group = plain(&owner["apiVersion"]);
                        let group = group
                            .split_once('/')
                            .map_or_else(String::new, |(group, _)| format!(".{group}"));
                        let kind = plain(&owner["kind"]).to_lowercase();
                        format!("{kind}{group}/{}", plain(&owner["name"])).into()
                    },
                )
            }),
            column("Revision", |object| number(&object["revision"])),
            AGE,
        ],
        "NetworkPolicy" => vec![
            column("Pod-Selector", |object| {
                pairs(&object["spec"]["podSelector"]["matchLabels"])
            }),
            AGE,
        ],
        "PodDisruptionBudget" => disruption_budget_columns(),
        "Lease" => vec![
            column("Holder", |object| plain(&object["spec"]["holderIdentity"]).into()),
            AGE,
        ],
        "LimitRange" | "Role" | "ClusterRole" => vec![column("Created At", |object| {
            object["metadata"]["creationTimestamp"].clone()
        })],
        "ResourceQuota" => quota_columns(),
        "RoleBinding" | "ClusterRoleBinding" => role_binding_columns(),
        "PriorityClass" => vec![
            column("Value", |object| number(&object["value"])),
            column("Global-Default", |object| {
                (object["globalDefault"] == true).into()
            }),
            AGE,
            column("PreemptionPolicy", |object| {
                plain(&object["preemptionPolicy"]).into()
            }),
        ],
        "IngressClass" => vec![
            column("Controller", |object| object["spec"]["controller"].clone()),
            column("Parameters", |object| {
                let parameters = &object["spec"]["parameters"];
                if parameters.is_null() {
                    return "<none>".into();
                }
                format!("{}/{}", plain(&parameters["kind"]), plain(&parameters["name"])).into()
            }),
            AGE,
        ],
        _ => vec![AGE],
    });
    if kind.is("Event") {
        // events are told by their time, not by their name
        columns.remove(0);
    }
    if kind.is("StorageClass") {
        columns[0] = column("Name", |object| {
            let default = "storageclass.kubernetes.io/is-default-class";
            let is_default = object["metadata"]["annotations"][default] == "true";
            format!(
                "{}{}",
                meta::name(object),
                if is_default { " (default)" } else { "" }
            )
            .into()
        });
    }
    columns
}

const AGE: Column = column("Age", |object| {
    age(&object["metadata"]["creationTimestamp"]).into()
});

fn pod_columns() -> Vec<Column> {
    vec![
        column("Ready", |pod| ready_containers(pod).into()),
        column("Status", |pod| pod_status(pod).into()),
        column("Restarts", |pod| restarts(pod).into()),
        AGE,
        wide("IP", |pod| or_none(&pod["status"]["podIP"])),
        wide("Node", |pod| or_none(&pod["spec"]["nodeName"])),
        wide("Nominated Node", |pod| {
            or_none(&pod["status"]["nominatedNodeName"])
        }),
        wide("Readiness Gates", |pod| {
            or_none(&pod["spec"]["readinessGates"][0]["conditionType"])
        }),
    ]
}

/// How many of the containers that keep running are ready; sidecars are among them.
fn ready_containers(pod: &Value) -> String {
    let ready = |list: &str, name: &Value| {
        let mut statuses = pod["status"][list].as_array().into_iter().flatten();
        statuses.any(|status| status["name"] == *name && status["ready"] == true)
    };
    let of = |list: &str| pod["spec"][list].as_array().into_iter().flatten();
    let sidecars = of("initContainers").filter(|container| container["restartPolicy"] == "Always");
    let sidecars: Vec<bool> = sidecars
        .map(|container| ready("initContainerStatuses", &container["name"]))
        .collect();
    let containers = of("containers").map(|container| ready("containerStatuses", &container["name"]));
    let all: Vec<bool> = containers.chain(sidecars).collect();
    format!("{}/{}", all.iter().filter(|ready| **ready).count(), all.len())
}

/// The one word for a pod's state, as `kubectl` users know it.
fn pod_status(pod: &Value) -> String {
    let status = &pod["status"];
    let mut word = status["reason"]
        .as_str()
        .or(status["phase"].as_str())
        .unwrap_or("Unknown")
        .to_owned();
    let init = status["initContainerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate();
    let total = length(&pod["spec"]["initContainers"]);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let is_initialized = conditions
        .into_iter()
        .any(|one| one["type"] == "Initialized" && one["status"] == "True");
    for (index, container) in init.filter(|_| !is_initialized) {
        let state = &container["state"];
        let done = state["terminated"]["exitCode"] == 0 || container["started"] == true;
        if done {
            continue;
        }
        let terminated = &state["terminated"];
        word = match (terminated["reason"].as_str(), state["waiting"]["reason"].as_str()) {
            (Some(reason), _) => format!("Init:{reason}"),
            (None, Some(reason)) if reason != "PodInitializing" => format!("Init:{reason}"),
            _ => format!("Init:{index}/{total}"),
        };
        return if meta::is_deleting(pod) {
            "Terminating".into()
        } else {
            word
        };
    }
    let mut has_running = false;
    for container in status["containerStatuses"].as_array().into_iter().flatten().rev() {
        let state = &container["state"];
        if let Some(reason) = state["waiting"]["reason"]
            .as_str()
            .or(state["terminated"]["reason"].as_str())
        {
            reason.clone_into(&mut word);
        } else if state["terminated"].is_object() {
            word = format!("ExitCode:{}", state["terminated"]["exitCode"]);
        } else if state["running"].is_object() && container["ready"] == true {
            has_running = true;
        }
    }
    if word == "Completed" && has_running {
        word = "Running".into();
    }
    if meta::is_deleting(pod) {
        "Terminating".into()
    } else {
        word
    }
}

fn restarts(pod: &Value) -> String {
    let statuses = pod["status"]["containerStatuses"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let total: i64 = statuses
        .iter()
        .filter_map(|status| status["restartCount"].as_i64())
        .sum();
    let last = statuses
        .iter()
        .map(|status| &status["lastState"]["terminated"]["finishedAt"]);
    match last
        .filter(|time| time.is_string())
        .max_by_key(|time| time.as_str().map(str::to_owned))
    {
        Some(time) if total > 0 => format!("{total} ({} ago)", age(time)),
        _ => total.to_string(),
    }
}

fn deployment_columns() -> Vec<Column> {
    vec![
        column("Ready", ready_of_wanted),
        column("Up-to-date", |object| {
            number(&object["status"]["updatedReplicas"])
        }),
        column("Available", |object| {
            number(&object["status"]["availableReplicas"])
        }),
        AGE,
        wide("Containers", |object| containers(object, "name")),
        wide("Images", |object| containers(object, "image")),
        wide("Selector", selector),
    ]
}

fn replica_set_columns() -> Vec<Column> {
    vec![
        column("Desired", |object| number(&object["spec"]["replicas"])),
        column("Current", |object| number(&object["status"]["replicas"])),
        column("Ready", |object| number(&object["status"]["readyReplicas"])),
        AGE,
        wide("Containers", |object| containers(object, "name")),
        wide("Images", |object| containers(object, "image")),
        wide("Selector", selector),
    ]
}

fn daemon_set_columns() -> Vec<Column> {
    vec![
        column("Desired", |object| {
            number(&object["status"]["desiredNumberScheduled"])
        }),
        column("Current", |object| {
            number(&object["status"]["currentNumberScheduled"])
        }),
        column("Ready", |object| number(&object["status"]["numberReady"])),
        column("Up-to-date", |object| {
            number(&object["status"]["updatedNumberScheduled"])
        }),
        column("Available", |object| number(&object["status"]["numberAvailable"])),
        column("Node Selector", |object| {
            pairs(&object["spec"]["template"]["spec"]["nodeSelector"])
        }),
        AGE,
        wide("Containers", |object| containers(object, "name")),
        wide("Images", |object| containers(object, "image")),
        wide("Selector", selector),
    ]
}

fn job_columns() -> Vec<Column> {
    vec![
        column("Status", |object| {
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            let mut held = conditions
                .filter(|one| one["status"] == "True")
                .map(|one| plain(&one["type"]));
            held.find(|kind| kind == "Complete" || kind == "Failed")
                .unwrap_or_else(|| "Running".into())
                .into()
        }),
        column("Completions", |object| {
            let wanted = object["spec"]["completions"].as_i64().unwrap_or(1);
            format!("{}/{wanted}", object["status"]["succeeded"].as_i64().unwrap_or(0)).into()
        }),
        column("Duration", |object| {
            let start = &object["status"]["startTime"];
            match (timestamp(start), timestamp(&object["status"]["completionTime"])) {
                (Some(start), Some(end)) => human(end.duration_since(start)).into(),
                (Some(_), None) => age(start).into(),
                _ => "".into(),
            }
        }),
        AGE,
        wide("Containers", |object| containers(object, "name")),
        wide("Images", |object| containers(object, "image")),
        wide("Selector", selector),
    ]
}

fn cron_job_columns() -> Vec<Column> {
    vec![
        column("Schedule", |object| object["spec"]["schedule"].clone()),
        column("Timezone", |object| or_none(&object["spec"]["timeZone"])),
        column("Suspend", |object| {
            let is_suspended = object["spec"]["suspend"] == true;
            if is_suspended {
                "True".into()
            } else {
                "False".into()
            }
        }),
        column("Active", |object| count(&object["status"]["active"])),
        column("Last Schedule", |object| {
            let last = &object["status"]["lastScheduleTime"];
            if last.is_string() {
                age(last).into()
            } else {
                "<none>".into()
            }
        }),
        AGE,
        wide("Containers", |object| {
            containers(&object["spec"]["jobTemplate"], "name")
        }),
        wide("Images", |object| {
            containers(&object["spec"]["jobTemplate"], "image")
        }),
        wide("Selector", |object| {
            pairs(&object["spec"]["jobTemplate"]["spec"]["selector"]["matchLabels"])
        }),
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

fn disruption_budget_columns() -> Vec<Column> {
    fn bound(value: &Value) -> Value {
        if value.is_null() {
            "N/A".into()
        } else {
            plain(value).into()
        }
    }
    vec![
        column("Min Available", |object| bound(&object["spec"]["minAvailable"])),
        column("Max Unavailable", |object| {
            bound(&object["spec"]["maxUnavailable"])
        }),
        column("Allowed Disruptions", |object| {
            number(&object["status"]["disruptionsAllowed"])
        }),
        AGE,
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

fn claim_columns() -> Vec<Column> {
    vec![
        column("Status", |object| {
            if meta::is_deleting(object) {
                "Terminating".into()
            } else {
                object["status"]["phase"].clone()
            }
        }),
        column("Volume", |object| plain(&object["spec"]["volumeName"]).into()),
        column("Capacity", |object| {
            plain(&object["status"]["capacity"]["storage"]).into()
        }),
        column("Access Modes", |object| {
            access_modes(&object["status"]["accessModes"])
        }),
        column("StorageClass", |object| {
            plain(&object["spec"]["storageClassName"]).into()
        }),
        column("VolumeAttributesClass", |_| "<unset>".into()),
        AGE,
        wide("VolumeMode", |object| object["spec"]["volumeMode"].clone()),
    ]
}

fn volume_columns() -> Vec<Column> {
    vec![
        column("Capacity", |object| object["spec"]["capacity"]["storage"].clone()),
        column("Access Modes", |object| {
            access_modes(&object["spec"]["accessModes"])
        }),
        column("Reclaim Policy", |object| {
            object["spec"]["persistentVolumeReclaimPolicy"].clone()
        }),
        column("Status", |object| object["status"]["phase"].clone()),
        column("Claim", |object| {
            let claim = &object["spec"]["claimRef"];
            if claim.is_null() {
                return "".into();
            }
            format!("{}/{}", plain(&claim["namespace"]), plain(&claim["name"])).into()
        }),
        column("StorageClass", |object| {
            plain(&object["spec"]["storageClassName"]).into()
        }),
        column("VolumeAttributesClass", |_| "<unset>".into()),
        column("Reason", |object| plain(&object["status"]["reason"]).into()),
        AGE,
        wide("VolumeMode", |object| object["spec"]["volumeMode"].clone()),
    ]
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

fn autoscaler_columns() -> Vec<Column> {
    vec![
        column("Reference", |object| {
            let target = &object["spec"]["scaleTargetRef"];
            format!("{}/{}", plain(&target["kind"]), plain(&target["name"])).into()
        }),
        column("Targets", |object| {
            joined(&object["spec"]["metrics"], |metric| {
                let resource = &metric["resource"];
                format!(
                    "{}: <unknown>/{}%",
                    plain(&resource["name"]),
                    resource["target"]["averageUtilization"]
                )
            })
        }),
        column("MinPods", |object| number(&object["spec"]["minReplicas"])),
        column("MaxPods", |object| number(&object["spec"]["maxReplicas"])),
        column("Replicas", |object| number(&object["status"]["currentReplicas"])),
        AGE,
    ]
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(value: &Value) -> Value {
    value.as_i64().unwrap_or(0).into()
}

fn or_none(value: &Value) -> Value {
    if value.as_str().is_none_or(str::is_empty) {
        "<none>".into()
    } else {
        value.clone()
    }
}

fn length(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn count(value: &Value) -> Value {
    length(value).into()
}

fn data_count(object: &Value) -> Value {
    let entries = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    (entries("data") + entries("binaryData")).into()
}

fn joined_or_empty(list: &Value, text: fn(&Value) -> String) -> Value {
    list.as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect::<Vec<_>>()
        .join(",")
        .into()
}

fn joined(list: &Value, text: fn(&Value) -> String) -> Value {
    if length(list) == 0 {
        "<none>".into()
    } else {
        joined_or_empty(list, text)
    }
}

fn pairs(map: &Value) -> Value {
    let pairs = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", plain(value)));
    let text = pairs.collect::<Vec<_>>().join(",");
    if text.is_empty() {
        "<none>".into()
    } else {
        text.into()
    }
}

fn selector(object: &Value) -> Value {
    pairs(&object["spec"]["selector"]["matchLabels"])
}

fn containers(object: &Value, field: &str) -> Value {
    let containers = object["spec"]["template"]["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten();
    containers
        .map(|container| plain(&container[field]))
        .collect::<Vec<_>>()
        .join(",")
        .into()
}

fn ready_of_wanted(object: &Value) -> Value {
    let ready = object["status"]["readyReplicas"].as_i64().unwrap_or(0);
    format!("{ready}/{}", object["spec"]["replicas"].as_i64().unwrap_or(0)).into()
}

fn access_modes(modes: &Value) -> Value {
    joined_or_empty(modes, |mode| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO".into(),
        Some("ReadOnlyMany") => "ROX".into(),
        Some("ReadWriteMany") => "RWX".into(),
        Some("ReadWriteOncePod") => "RWOP".into(),
        _ => plain(mode),
    })
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

fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn age(time: &Value) -> String {
    match timestamp(time) {
        Some(then) => human(Timestamp::now().duration_since(then)),
        None => "<unknown>".into(),
    }
}

/// A duration as `kubectl` prints it: two units at most, the second only while it matters.
///
/// Source: `k8s.io/apimachinery/pkg/util/duration.HumanDuration`.
fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |first: i64, unit: char, second: i64, small: char| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{second}{small}"),
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10800 => format!("{minutes}m"),
        10800..28800 => two(hours, 'h', minutes % 60, 'm'),
        28800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, 'y', days % 365, 'd'),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::registry::KINDS;

    #[rstest]
    #[case(0, "0s")]
    #[case(119, "119s")]
    #[case(125, "2m5s")]
    #[case(601, "10m")]
    #[case(10860, "3h1m")]
    #[case(86400, "24h")]
    #[case(176_400, "2d1h")]
    #[case(864_000, "10d")]
    fn durations_read_as_in_kubectl(#[case] seconds: i64, #[case] expected: &str) {
        assert_eq!(human(SignedDuration::from_secs(seconds)), expected);
    }

    #[test]
    fn every_kind_has_a_table_even_of_an_empty_object() {
        for kind in KINDS {
            let object = json!({"metadata": {"name": "a"}});
            let table = table(kind, &[&object], &json!({}), Include::Metadata);
            let columns = table["columnDefinitions"].as_array().unwrap().len();
            assert_eq!(
                table["rows"][0]["cells"].as_array().unwrap().len(),
                columns,
                "{}",
                kind.kind
            );
        }
    }

    #[rstest]
    #[case(json!({"phase": "Running", "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}), "CrashLoopBackOff")]
    #[case(json!({"phase": "Pending", "initContainerStatuses": [{"state": {"running": {}}}]}), "Init:0/1")]
    #[case(json!({"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}]}), "Completed")]
    fn the_word_for_a_pod(#[case] status: Value, #[case] expected: &str) {
        let pod = json!({"spec": {"containers": [{}], "initContainers": [{}]}, "status": status});
        assert_eq!(pod_status(&pod), expected);
    }
}
