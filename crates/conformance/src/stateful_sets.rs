//! StatefulSets: names, order, revisions and claims.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds, includes},
    objects::{IDLE, claim, over, probe, stateful_set},
    place::{Patch, Place, items, labels, names, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        pods_have_numbers,
        pods_start_in_order,
        pods_may_start_together,
        pods_end_from_the_last,
        a_pod_comes_back_with_its_name,
        a_new_template_comes_from_the_last,
        a_partition_keeps_the_first_pods,
        on_delete_waits_for_it,
        claims_are_made_and_kept,
        claims_go_when_asked,
        numbers_may_begin_elsewhere,
        a_set_counts_its_pods,
        revisions_are_kept,
    ]
}

async fn until_ready(at: &Place, count: u32) -> Outcome<Value> {
    at.until("statefulsets/a", |a| {
        a["status"]["observedGeneration"] == a["metadata"]["generation"]
            && a["status"]["readyReplicas"].as_u64().unwrap_or(0) == u64::from(count)
            && a["status"]["replicas"] == count
    })
    .await
}

async fn ready(at: &Place, object: &Value, count: u32) -> Outcome<Value> {
    at.create("statefulsets", object).await?;
    until_ready(at, count).await
}

async fn change(at: &Place) -> Outcome {
    let container = json!({"name": "c", "env": [{"name": "NEW", "value": "1"}]});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    at.patch("statefulsets/a", Patch::Strategic, &patch)
        .await?
        .done(StatusCode::OK)
        .map(drop)
}

fn is_new(pod: &Value) -> bool {
    pod["spec"]["containers"][0]["env"][0]["name"] == "NEW"
}

async fn pods_have_numbers(at: Place) -> Outcome {
    ready(&at, &stateful_set("a", 2, IDLE), 2).await?;
    let pods = at.read("pods").await?;
    equal("the names", names(&pods), vec!["a-0", "a-1"])?;
    let pod = &pods["items"][1];
    let labels = labels(pod);
    equal(
        "the label of the name",
        labels.get("statefulset.kubernetes.io/pod-name").copied(),
        "a-1",
    )?;
    equal(
        "the label of the number",
        labels.get("apps.kubernetes.io/pod-index").copied(),
        "1",
    )?;
    includes(pod, &json!({"spec": {"hostname": "a-1", "subdomain": "a"}}))
}

async fn pods_start_in_order(at: Place) -> Outcome {
    let unready = json!({"spec": {"template": {"spec": {"containers": [
        {"readinessProbe": probe("test -e /tmp/ready")},
    ]}}}});
    at.create("statefulsets", &over(stateful_set("a", 2, IDLE), &unready))
        .await?;
    at.until("pods/a-0", |pod| pod["status"]["phase"] == "Running")
        .await?;
    at.until("statefulsets/a", |a| a["status"]["replicas"] == 1)
        .await?;
    at.get("pods/a-1").await?.refused(404, "NotFound")
}

async fn pods_may_start_together(at: Place) -> Outcome {
    let unready = json!({"spec": {"podManagementPolicy": "Parallel", "template": {"spec": {"containers": [
        {"readinessProbe": probe("false")},
    ]}}}});
    at.create("statefulsets", &over(stateful_set("a", 2, IDLE), &unready))
        .await?;
    at.until("pods/a-1", |_| true).await.map(drop)
}

async fn pods_end_from_the_last(at: Place) -> Outcome {
    ready(&at, &stateful_set("a", 2, IDLE), 2).await?;
    at.merge("statefulsets/a/scale", &json!({"spec": {"replicas": 1}}))
        .await?;
    at.until_gone("pods/a-1").await?;
    until_ready(&at, 1).await?;
    equal("the pods", at.names("pods").await?, vec!["a-0"])
}

async fn a_pod_comes_back_with_its_name(at: Place) -> Outcome {
    ready(&at, &stateful_set("a", 1, IDLE), 1).await?;
    let before = at.read("pods/a-0").await?["metadata"]["uid"].clone();
    at.delete("pods/a-0").await?.has_code(200)?;
    at.until("pods/a-0", |pod| pod["metadata"]["uid"] != before)
        .await
        .map(drop)
}

async fn the_first_is_old(at: &Place) -> Outcome {
    holds(
        "the first pod",
        !is_new(&at.read("pods/a-0").await?),
        "the old template",
        &"the new one",
    )
}

async fn a_new_template_comes_from_the_last(at: Place) -> Outcome {
    let slow = json!({"spec": {"template": {"spec": {"containers": [
        {"readinessProbe": probe("test -z \"$NEW\"")},
    ]}}}});
    ready(&at, &over(stateful_set("a", 2, IDLE), &slow), 2).await?;
    change(&at).await?;
    at.until("pods/a-1", is_new).await?;
    at.until("statefulsets/a", |a| a["status"]["updatedReplicas"] == 1)
        .await?;
    the_first_is_old(&at).await
}

async fn a_partition_keeps_the_first_pods(at: Place) -> Outcome {
    let partition = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}});
    ready(&at, &over(stateful_set("a", 2, IDLE), &partition), 2).await?;
    change(&at).await?;
    at.until("pods/a-1", is_new).await?;
    let done = at
        .until("statefulsets/a", |a| {
            a["status"]["updatedReplicas"] == 1 && a["status"]["readyReplicas"] == 2
        })
        .await?;
    the_first_is_old(&at).await?;
    let status = &done["status"];
    holds(
        "the revisions",
        status["currentRevision"] != status["updateRevision"],
        "two",
        status,
    )
}

async fn on_delete_waits_for_it(at: Place) -> Outcome {
    let strategy = json!({"spec": {"updateStrategy": {"type": "OnDelete"}}});
    ready(&at, &over(stateful_set("a", 1, IDLE), &strategy), 1).await?;
    change(&at).await?;
    at.until("statefulsets/a", |a| {
        a["status"]["observedGeneration"] == 2
            && a["status"]["updateRevision"] != a["status"]["currentRevision"]
    })
    .await?;
    holds(
        "the pod",
        !is_new(&at.read("pods/a-0").await?),
        "the old template",
        &"the new one",
    )?;
    at.delete("pods/a-0").await?.has_code(200)?;
    at.until("pods/a-0", is_new).await.map(drop)
}

fn with_claims(policy: &str) -> Value {
    let claims = json!({"spec": {
        "volumeClaimTemplates": [claim("data")],
        "persistentVolumeClaimRetentionPolicy": {"whenScaled": policy},
        "template": {"spec": {"containers": [{"volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
    }});
    over(stateful_set("a", 1, IDLE), &claims)
}

async fn claims_are_made_and_kept(at: Place) -> Outcome {
    ready(&at, &with_claims("Retain"), 1).await?;
    let claim = at.read("persistentvolumeclaims/data-a-0").await?;
    equal("the label", claim["metadata"]["labels"]["app"].clone(), "a")?;
    at.merge("statefulsets/a/scale", &json!({"spec": {"replicas": 0}}))
        .await?;
    at.until_gone("pods/a-0").await?;
    until_ready(&at, 0).await?;
    let kept = at.read("persistentvolumeclaims/data-a-0").await?;
    includes(
        &kept["metadata"],
        &json!({"deletionTimestamp": null, "uid": claim["metadata"]["uid"]}),
    )
}

async fn claims_go_when_asked(at: Place) -> Outcome {
    ready(&at, &with_claims("Delete"), 1).await?;
    at.merge("statefulsets/a/scale", &json!({"spec": {"replicas": 0}}))
        .await?;
    at.until_gone("persistentvolumeclaims/data-a-0").await
}

async fn numbers_may_begin_elsewhere(at: Place) -> Outcome {
    ready(
        &at,
        &over(
            stateful_set("a", 2, IDLE),
            &json!({"spec": {"ordinals": {"start": 5}}}),
        ),
        2,
    )
    .await?;
    equal("the pods", at.names("pods").await?, vec!["a-5", "a-6"])
}

async fn a_set_counts_its_pods(at: Place) -> Outcome {
    let set = ready(&at, &stateful_set("a", 2, IDLE), 2).await?;
    let revision = text(&set, "/status/updateRevision");
    includes(
        &set["status"],
        &json!({
            "replicas": 2, "readyReplicas": 2, "currentReplicas": 2, "updatedReplicas": 2,
            "currentRevision": revision, "collisionCount": 0,
        }),
    )?;
    let pod = at.read("pods/a-0").await?;
    equal(
        "the label of the revision",
        labels(&pod).get("controller-revision-hash").copied(),
        revision,
    )
}

async fn revisions_are_kept(at: Place) -> Outcome {
    ready(&at, &stateful_set("a", 1, IDLE), 1).await?;
    change(&at).await?;
    let revisions = at
        .until("controllerrevisions", |list| items(list).len() == 2)
        .await?;
    let mut numbers: Vec<_> = items(&revisions)
        .iter()
        .filter_map(|one| one["revision"].as_u64())
        .collect();
    numbers.sort_unstable();
    equal("the revisions", numbers, vec![1, 2])
}
