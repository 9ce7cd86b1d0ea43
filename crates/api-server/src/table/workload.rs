//! Pods and what makes them.

use serde_json::Value;

use super::{Column, cell::*, column, wide};
use crate::meta;

/// The columns after the name, of the kinds of this module.
pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    Some(match kind {
        "Pod" => pod_columns(),
        "Deployment" => deployment_columns(),
        "ReplicaSet" => replica_set_columns(),
        "StatefulSet" => stateful_set_columns(),
        "DaemonSet" => daemon_set_columns(),
        "Job" => job_columns(),
        "CronJob" => cron_job_columns(),
        "ControllerRevision" => revision_columns(),
        "HorizontalPodAutoscaler" => autoscaler_columns(),
        "PodDisruptionBudget" => disruption_budget_columns(),
        _ => return None,
    })
}

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

fn stateful_set_columns() -> Vec<Column> {
    vec![
        column("Ready", ready_of_wanted),
        AGE,
        wide("Containers", |object| containers(object, "name")),
        wide("Images", |object| containers(object, "image")),
    ]
}

fn revision_columns() -> Vec<Column> {
    vec![
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
    ]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"phase": "Running", "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}), "CrashLoopBackOff")]
    #[case(json!({"phase": "Pending", "initContainerStatuses": [{"state": {"running": {}}}]}), "Init:0/1")]
    #[case(json!({"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}]}), "Completed")]
    fn the_word_for_a_pod(#[case] status: Value, #[case] expected: &str) {
        let pod = json!({"spec": {"containers": [{}], "initContainers": [{}]}, "status": status});
        assert_eq!(pod_status(&pod), expected);
    }
}
