//! Deployments and replica sets: which pods they have while a template changes.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds, includes},
    objects::{IDLE, deployment, over, pod, probe},
    place::{Patch, Place, condition, items, labels, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_deployment_makes_a_replica_set_and_its_pods,
        a_deployment_counts_its_pods,
        a_new_template_is_a_new_revision,
        pods_are_replaced_when_new_ones_are_ready,
        a_surge_of_one_keeps_all_old_pods,
        no_surge_ends_old_pods_first,
        recreation_ends_all_old_pods_first,
        a_paused_deployment_keeps_its_pods,
        a_deadline_that_passes_is_told,
        a_template_of_before_is_its_replica_set_again,
        old_revisions_are_removed,
        a_label_is_no_new_revision,
        a_pod_is_available_after_its_time,
        a_deployment_scales_down_to_nothing,
        a_pod_that_is_deleted_is_made_again,
        a_pod_with_the_labels_is_adopted,
        a_pod_that_loses_the_labels_is_released,
        surplus_pods_are_deleted,
        a_failed_pod_is_replaced,
    ]
}

const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";

/// Waits until a Deployment is through with its newest template.
async fn until_rolled_out(at: &Place) -> Outcome<Value> {
    let wanted = |a: &Value| a["spec"]["replicas"].clone();
    at.until("deployments/a", |a| {
        let status = &a["status"];
        status["observedGeneration"] == a["metadata"]["generation"]
            && ["replicas", "updatedReplicas", "availableReplicas"]
                .iter()
                .all(|count| status[*count] == wanted(a))
    })
    .await
}

async fn rolled_out(at: &Place, object: &Value) -> Outcome<Value> {
    at.create("deployments", object).await?;
    until_rolled_out(at).await
}

/// Changes the template, so that there are new pods; `container` goes over the container.
async fn change(at: &Place, container: &Value) -> Outcome {
    let container = over(
        json!({"name": "c", "env": [{"name": "NEW", "value": "1"}]}),
        container,
    );
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    at.patch("deployments/a", Patch::Strategic, &patch)
        .await?
        .done(StatusCode::OK)
        .map(drop)
}

fn never_ready() -> Value {
    json!({"readinessProbe": probe("false")})
}

fn rolling(surge: u32, unavailable: u32) -> Value {
    json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}})
}

async fn a_deployment_makes_a_replica_set_and_its_pods(at: Place) -> Outcome {
    let made = rolled_out(&at, &deployment("a", 2, IDLE)).await?;
    equal("the revision", text(&made, REVISION), "1")?;
    let sets = at.read("replicasets").await?;
    let set = &sets["items"][0];
    let hash = labels(set).get("pod-template-hash").copied().unwrap_or_default();
    equal(
        "the name of the set",
        text(set, "/metadata/name"),
        format!("a-{hash}"),
    )?;
    includes(
        &set["metadata"]["ownerReferences"],
        &json!([{"kind": "Deployment", "name": "a", "controller": true, "blockOwnerDeletion": true}]),
    )?;
    let pods = at.read("pods").await?;
    equal("the pods", items(&pods).len(), 2)?;
    for pod in items(&pods) {
        equal(
            "the hash of a pod",
            labels(pod).get("pod-template-hash").copied(),
            hash,
        )?;
        includes(
            &pod["metadata"]["ownerReferences"],
            &json!([{"kind": "ReplicaSet", "uid": set["metadata"]["uid"], "controller": true}]),
        )?;
    }
    Ok(())
}

async fn a_deployment_counts_its_pods(at: Place) -> Outcome {
    let made = rolled_out(&at, &deployment("a", 2, IDLE)).await?;
    includes(
        &made["status"],
        &json!({
            "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "unavailableReplicas": null, "observedGeneration": 1,
        }),
    )?;
    let done = at
        .until("deployments/a", |a| condition(a, "Available") == "True")
        .await?;
    equal("progress", condition(&done, "Progressing"), "True")
}

async fn a_new_template_is_a_new_revision(at: Place) -> Outcome {
    rolled_out(&at, &deployment("a", 1, IDLE)).await?;
    change(&at, &json!({})).await?;
    equal("the revision", text(&until_rolled_out(&at).await?, REVISION), "2")?;
    let sets = at
        .until("replicasets", |sets| {
            items(sets).iter().any(|set| set["spec"]["replicas"] == 0)
        })
        .await?;
    let mut revisions: Vec<_> = items(&sets)
        .iter()
        .map(|set| format!("{}: {}", text(set, REVISION), set["spec"]["replicas"]))
        .collect();
    revisions.sort();
    equal(
        "the revisions and their replicas",
        revisions,
        vec!["1: 0", "2: 1"],
    )
}

async fn pods_are_replaced_when_new_ones_are_ready(at: Place) -> Outcome {
    rolled_out(&at, &deployment("a", 2, IDLE)).await?;
    let before = at.names("pods").await?;
    change(&at, &json!({})).await?;
    until_rolled_out(&at).await?;
    let pods = at.until("pods", |pods| items(pods).len() == 2).await?;
    let kept = items(&pods)
        .iter()
        .filter(|pod| before.contains(&text(pod, "/metadata/name").to_owned()));
    equal("pods of before", kept.count(), 0)
}

/// The pods of a roll that gets stuck, and how many of them are ready.
async fn stuck(at: &Place, strategy: &Value, pods: usize) -> Outcome<usize> {
    rolled_out(at, &over(deployment("a", 2, IDLE), strategy)).await?;
    change(at, &never_ready()).await?;
    let is_stuck = |a: &Value| {
        a["status"]["observedGeneration"] == 2
            && a["status"]["updatedReplicas"].as_u64().is_some_and(|n| n > 0)
    };
    at.until("deployments/a", is_stuck).await?;
    let list = at
        .until("pods", |list| {
            items(list).len() == pods && items(list).iter().all(is_staying)
        })
        .await?;
    Ok(items(&list)
        .iter()
        .filter(|pod| condition(pod, "Ready") == "True")
        .count())
}

fn is_staying(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running"
}

async fn a_surge_of_one_keeps_all_old_pods(at: Place) -> Outcome {
    equal("ready pods", stuck(&at, &rolling(1, 0), 3).await?, 2)
}

async fn no_surge_ends_old_pods_first(at: Place) -> Outcome {
    equal("ready pods", stuck(&at, &rolling(0, 1), 2).await?, 1)
}

async fn recreation_ends_all_old_pods_first(at: Place) -> Outcome {
    equal(
        "ready pods",
        stuck(&at, &json!({"spec": {"strategy": {"type": "Recreate"}}}), 2).await?,
        0,
    )
}

async fn a_paused_deployment_keeps_its_pods(at: Place) -> Outcome {
    rolled_out(&at, &deployment("a", 1, IDLE)).await?;
    at.merge("deployments/a", &json!({"spec": {"paused": true}}))
        .await?;
    change(&at, &json!({})).await?;
    let seen = at
        .until("deployments/a", |a| a["status"]["observedGeneration"] == 3)
        .await?;
    equal(
        "updated pods",
        seen["status"]["updatedReplicas"].as_u64().unwrap_or(0),
        0,
    )?;
    equal("the replica sets", at.names("replicasets").await?.len(), 1)?;
    at.merge("deployments/a", &json!({"spec": {"paused": false}}))
        .await?;
    until_rolled_out(&at).await?;
    equal("the replica sets", at.names("replicasets").await?.len(), 2)
}

async fn a_deadline_that_passes_is_told(at: Place) -> Outcome {
    let hopeless = over(
        deployment("a", 1, IDLE),
        &json!({"spec": {
            "progressDeadlineSeconds": 2, "template": {"spec": {"containers": [never_ready()]}},
        }}),
    );
    at.create("deployments", &hopeless).await?;
    let late = at
        .until("deployments/a", |a| condition(a, "Progressing") == "False")
        .await?;
    let mut conditions = late["status"]["conditions"].as_array().into_iter().flatten();
    let progress = conditions
        .find(|one| one["type"] == "Progressing")
        .cloned()
        .unwrap_or_default();
    equal(
        "the reason",
        progress["reason"].clone(),
        "ProgressDeadlineExceeded",
    )?;
    let message = text(&progress, "/message");
    let is_told =
        message.starts_with("ReplicaSet \"a-") && message.ends_with("\" has timed out progressing.");
    holds("the message", is_told, "the set has timed out", &message)
}

async fn a_template_of_before_is_its_replica_set_again(at: Place) -> Outcome {
    let first = rolled_out(&at, &deployment("a", 1, IDLE)).await?;
    let sets = at.names("replicasets").await?;
    change(&at, &json!({})).await?;
    until_rolled_out(&at).await?;
    let back = json!([{"op": "replace", "path": "/spec/template", "value": first["spec"]["template"]}]);
    at.patch("deployments/a", Patch::Json, &back)
        .await?
        .has_code(200)?;
    equal("the revision", text(&until_rolled_out(&at).await?, REVISION), "3")?;
    let set = at.read(&format!("replicasets/{}", sets[0])).await?;
    equal("the revision of the set", text(&set, REVISION), "3")?;
    let history = text(
        &set,
        "/metadata/annotations/deployment.kubernetes.io~1revision-history",
    );
    equal("its history", history, "1")?;
    equal("the number of sets", at.names("replicasets").await?.len(), 2)
}

async fn old_revisions_are_removed(at: Place) -> Outcome {
    rolled_out(
        &at,
        &over(
            deployment("a", 1, IDLE),
            &json!({"spec": {"revisionHistoryLimit": 0}}),
        ),
    )
    .await?;
    let before = at.names("replicasets").await?;
    change(&at, &json!({})).await?;
    let sets = at
        .until("replicasets", |sets| {
            items(sets).len() == 1 && text(sets, "/items/0/metadata/name") != before[0]
        })
        .await?;
    equal("the revision", text(&sets["items"][0], REVISION), "2")
}

async fn a_label_is_no_new_revision(at: Place) -> Outcome {
    rolled_out(&at, &deployment("a", 1, IDLE)).await?;
    at.merge(
        "deployments/a",
        &json!({"metadata": {"labels": {"b": "c"}}, "spec": {"minReadySeconds": 1}}),
    )
    .await?;
    at.until("deployments/a", |a| a["status"]["observedGeneration"] == 2)
        .await?;
    equal("the replica sets", at.names("replicasets").await?.len(), 1)
}

async fn a_pod_is_available_after_its_time(at: Place) -> Outcome {
    let patient = json!({"spec": {"minReadySeconds": 3600, "progressDeadlineSeconds": 7200}});
    at.create("deployments", &over(deployment("a", 1, IDLE), &patient))
        .await?;
    let ready = at
        .until("deployments/a", |a| a["status"]["readyReplicas"] == 1)
        .await?;
    includes(
        &ready["status"],
        &json!({"availableReplicas": null, "unavailableReplicas": 1}),
    )?;
    equal("availability", condition(&ready, "Available"), "False")
}

async fn a_deployment_scales_down_to_nothing(at: Place) -> Outcome {
    rolled_out(&at, &deployment("a", 2, IDLE)).await?;
    at.merge("deployments/a/scale", &json!({"spec": {"replicas": 0}}))
        .await?;
    at.until("pods", |pods| items(pods).is_empty()).await?;
    at.until("deployments/a", |a| a["status"]["replicas"].is_null())
        .await
        .map(drop)
}

async fn a_pod_that_is_deleted_is_made_again(at: Place) -> Outcome {
    rolled_out(&at, &deployment("a", 1, IDLE)).await?;
    let before = at.names("pods").await?;
    at.delete(&format!("pods/{}", before[0])).await?.has_code(200)?;
    let is_new = |pod: &Value| text(pod, "/metadata/name") != before[0] && condition(pod, "Ready") == "True";
    at.until("pods", |pods| items(pods).iter().any(is_new))
        .await
        .map(drop)
}

/// A replica set of the pods labelled `app=a`.
fn replica_set(replicas: u32) -> Value {
    let mut set = deployment("a", replicas, IDLE);
    set["kind"] = "ReplicaSet".into();
    set["spec"]["template"]["spec"]["schedulerName"] = "nobody".into();
    set
}

fn is_owned(pod: &Value) -> bool {
    pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
}

async fn a_pod_with_the_labels_is_adopted(at: Place) -> Outcome {
    at.create(
        "pods",
        &over(pod("a", IDLE), &json!({"spec": {"schedulerName": "nobody"}})),
    )
    .await?;
    at.create("replicasets", &replica_set(1)).await?;
    at.until("pods/a", is_owned).await?;
    at.until("replicasets/a", |set| set["status"]["replicas"] == 1)
        .await?;
    equal("the pods", at.names("pods").await?, vec!["a"])
}

async fn a_pod_that_loses_the_labels_is_released(at: Place) -> Outcome {
    at.create("replicasets", &replica_set(1)).await?;
    let pods = at.until("pods", |pods| items(pods).len() == 1).await?;
    let name = text(&pods["items"][0], "/metadata/name");
    at.merge(
        &format!("pods/{name}"),
        &json!({"metadata": {"labels": {"app": "other"}}}),
    )
    .await?;
    at.until(&format!("pods/{name}"), |pod| !is_owned(pod)).await?;
    at.until("pods?labelSelector=app%3Da", |pods| items(pods).len() == 1)
        .await
        .map(drop)
}

async fn surplus_pods_are_deleted(at: Place) -> Outcome {
    at.create("replicasets", &replica_set(3)).await?;
    at.until("pods", |pods| items(pods).len() == 3).await?;
    at.merge("replicasets/a", &json!({"spec": {"replicas": 1}}))
        .await?;
    at.until("pods", |pods| items(pods).len() == 1).await?;
    at.until("replicasets/a", |set| set["status"]["replicas"] == 1)
        .await
        .map(drop)
}

async fn a_failed_pod_is_replaced(at: Place) -> Outcome {
    at.create("replicasets", &replica_set(1)).await?;
    let pods = at.until("pods", |pods| items(pods).len() == 1).await?;
    let name = text(&pods["items"][0], "/metadata/name");
    at.merge(
        &format!("pods/{name}/status"),
        &json!({"status": {"phase": "Failed"}}),
    )
    .await?;
    at.until("pods", |pods| {
        items(pods).iter().any(|pod| text(pod, "/metadata/name") != name)
    })
    .await
    .map(drop)
}
