//! The end of objects: finalizers, owners, grace periods and namespaces.

use serde_json::{Value, json};

use crate::{
    answer::FORBIDDEN,
    behaviour::{Behaviour, Outcome, behaviours, equal, holds, includes},
    objects::{IDLE, asleep, claim, config_map, deployment, labelled, over, pod},
    place::{Patch, Place, items, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        what_nothing_holds_is_gone_at_once,
        a_finalizer_holds_an_object,
        what_is_held_can_still_be_changed,
        no_finalizer_is_added_to_what_ends,
        a_collection_is_deleted_by_its_selector,
        what_it_owned_goes_in_the_background,
        in_the_foreground_the_owner_goes_last,
        orphans_stay,
        orphans_stay_by_the_old_option,
        an_owner_that_is_gone_is_no_owner,
        one_of_two_owners_is_enough,
        an_owner_of_another_uid_is_none,
        a_propagation_is_a_known_one,
        a_deployment_takes_its_replica_sets_and_pods,
        a_pod_without_a_node_is_gone_at_once,
        a_running_pod_gets_its_grace_period,
        a_pod_is_forced_without_grace,
        a_finalizer_holds_a_pod,
        a_namespace_takes_what_is_in_it,
        nothing_is_made_in_a_namespace_that_ends,
        a_claim_in_use_stays,
    ]
}

const HOLD: &str = "x.example/hold";

fn held(name: &str) -> Value {
    over(config_map(name), &json!({"metadata": {"finalizers": [HOLD]}}))
}

async fn release(at: &Place, resource: &str) -> Outcome {
    at.merge(resource, &json!({"metadata": {"finalizers": null}}))
        .await
        .map(drop)
}

async fn what_nothing_holds_is_gone_at_once(at: Place) -> Outcome {
    let made = at.create("configmaps", &config_map("a")).await?;
    let answer = at.delete("configmaps/a").await?;
    answer.has_code(200)?;
    includes(
        answer.body(),
        &json!({
            "kind": "Status", "apiVersion": "v1", "status": "Success",
            "details": {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]},
        }),
    )?;
    at.get("configmaps/a").await?.refused(404, "NotFound")
}

async fn a_finalizer_holds_an_object(at: Place) -> Outcome {
    at.create("configmaps", &held("a")).await?;
    let answer = at.delete("configmaps/a").await?;
    answer.has_code(200)?;
    equal("what is answered", answer.body()["kind"].clone(), "ConfigMap")?;
    let found = at.read("configmaps/a").await?;
    let time = text(&found, "/metadata/deletionTimestamp");
    holds("the time", !time.is_empty(), "one", &time)?;
    equal(
        "the grace",
        found["metadata"]["deletionGracePeriodSeconds"].clone(),
        0,
    )?;
    release(&at, "configmaps/a").await?;
    at.get("configmaps/a").await?.refused(404, "NotFound")
}

async fn what_is_held_can_still_be_changed(at: Place) -> Outcome {
    at.create("configmaps", &held("a")).await?;
    let first = at.delete("configmaps/a").await?.into_body();
    let changed = at.merge("configmaps/a", &json!({"data": {"a": "2"}})).await?;
    equal("the data", changed["data"].clone(), json!({"a": "2"}))?;
    let again = at.delete("configmaps/a").await?.into_body();
    let time = "deletionTimestamp";
    equal(
        "the time",
        again["metadata"][time].clone(),
        first["metadata"][time].clone(),
    )?;
    release(&at, "configmaps/a").await
}

async fn no_finalizer_is_added_to_what_ends(at: Place) -> Outcome {
    at.create("configmaps", &held("a")).await?;
    at.delete("configmaps/a").await?.has_code(200)?;
    let more = json!({"metadata": {"finalizers": [HOLD, "x.example/more"]}});
    let answer = at.patch("configmaps/a", Patch::Merge, &more).await?;
    release(&at, "configmaps/a").await?;
    answer.refused(422, "Invalid")?;
    answer.names_cause("metadata.finalizers", FORBIDDEN)
}

async fn a_collection_is_deleted_by_its_selector(at: Place) -> Outcome {
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        at.create("configmaps", &labelled(name, &json!({"l": label})))
            .await?;
    }
    at.delete("configmaps?labelSelector=l%3Dx").await?.has_code(200)?;
    equal(
        "what is left",
        at.names("configmaps?labelSelector=l").await?,
        vec!["b"],
    )
}

/// An object that is owned by others.
fn owned(name: &str, owners: &[&Value]) -> Value {
    let references = owners.iter().map(|owner| {
        let metadata = &owner["metadata"];
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"],
            "blockOwnerDeletion": true,
        })
    });
    let references: Vec<Value> = references.collect();
    over(
        config_map(name),
        &json!({"metadata": {"ownerReferences": references}}),
    )
}

async fn what_it_owned_goes_in_the_background(at: Place) -> Outcome {
    let owner = at.create("configmaps", &config_map("a")).await?;
    at.create("configmaps", &owned("b", &[&owner])).await?;
    at.delete_with("configmaps/a", &json!({"propagationPolicy": "Background"}))
        .await?
        .has_code(200)?;
    at.get("configmaps/a").await?.refused(404, "NotFound")?;
    at.until_gone("configmaps/b").await
}

async fn in_the_foreground_the_owner_goes_last(at: Place) -> Outcome {
    let owner = at.create("configmaps", &config_map("a")).await?;
    let dependent = over(
        owned("b", &[&owner]),
        &json!({"metadata": {"finalizers": [HOLD]}}),
    );
    at.create("configmaps", &dependent).await?;
    at.delete_with("configmaps/a", &json!({"propagationPolicy": "Foreground"}))
        .await?
        .has_code(200)?;
    at.until("configmaps/b", |b| b["metadata"]["deletionTimestamp"].is_string())
        .await?;
    let waiting = at.read("configmaps/a").await?;
    equal(
        "the finalizers",
        waiting["metadata"]["finalizers"].clone(),
        json!(["foregroundDeletion"]),
    )?;
    release(&at, "configmaps/b").await?;
    at.until_gone("configmaps/a").await
}

async fn stays_an_orphan(at: &Place, options: &Value) -> Outcome {
    let owner = at.create("configmaps", &config_map("a")).await?;
    at.create("configmaps", &owned("b", &[&owner])).await?;
    at.delete_with("configmaps/a", options).await?.has_code(200)?;
    at.until_gone("configmaps/a").await?;
    let left = at
        .until("configmaps/b", |b| b["metadata"]["ownerReferences"].is_null())
        .await?;
    equal(
        "the end",
        left["metadata"]["deletionTimestamp"].clone(),
        Value::Null,
    )
}

async fn orphans_stay(at: Place) -> Outcome {
    stays_an_orphan(&at, &json!({"propagationPolicy": "Orphan"})).await
}

async fn orphans_stay_by_the_old_option(at: Place) -> Outcome {
    stays_an_orphan(&at, &json!({"orphanDependents": true})).await
}

async fn an_owner_that_is_gone_is_no_owner(at: Place) -> Outcome {
    let owner = at.create("configmaps", &config_map("a")).await?;
    at.delete("configmaps/a").await?.has_code(200)?;
    at.create("configmaps", &owned("b", &[&owner])).await?;
    at.until_gone("configmaps/b").await
}

async fn one_of_two_owners_is_enough(at: Place) -> Outcome {
    let first = at.create("configmaps", &config_map("a")).await?;
    let second = at.create("configmaps", &config_map("b")).await?;
    at.create("configmaps", &owned("c", &[&first, &second])).await?;
    at.delete("configmaps/a").await?.has_code(200)?;
    let references = |c: &Value| c["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len);
    let left = at.until("configmaps/c", |c| references(c) == 1).await?;
    equal(
        "the owner",
        left["metadata"]["ownerReferences"][0]["name"].clone(),
        "b",
    )
}

async fn an_owner_of_another_uid_is_none(at: Place) -> Outcome {
    let mut owner = at.create("configmaps", &config_map("a")).await?;
    owner["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    at.create("configmaps", &owned("b", &[&owner])).await?;
    at.until_gone("configmaps/b").await?;
    at.read("configmaps/a").await.map(drop)
}

async fn a_propagation_is_a_known_one(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let answer = at
        .delete_with("configmaps/a", &json!({"propagationPolicy": "Sideways"}))
        .await?;
    answer.refused(422, "Invalid")?;
    answer.says("propagationPolicy: Unsupported value")
}

async fn a_deployment_takes_its_replica_sets_and_pods(at: Place) -> Outcome {
    let unscheduled = json!({"spec": {"template": {"spec": {"schedulerName": "nobody"}}}});
    at.create("deployments", &over(deployment("a", 2, IDLE), &unscheduled))
        .await?;
    at.until("pods", |pods| items(pods).len() == 2).await?;
    at.delete("deployments/a").await?.has_code(200)?;
    at.until("replicasets", |sets| items(sets).is_empty()).await?;
    at.until("pods", |pods| items(pods).is_empty()).await.map(drop)
}

async fn a_pod_without_a_node_is_gone_at_once(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
    at.delete("pods/a").await?.has_code(200)?;
    at.get("pods/a").await?.refused(404, "NotFound")
}

/// A running pod that does not end by itself, and has a minute for it.
async fn stubborn(at: &Place) -> Outcome {
    let stubborn = pod("a", "trap '' TERM; while :; do sleep 0.2; done");
    at.create(
        "pods",
        &over(stubborn, &json!({"spec": {"terminationGracePeriodSeconds": 60}})),
    )
    .await?;
    at.until_ready("a").await.map(drop)
}

async fn a_running_pod_gets_its_grace_period(at: Place) -> Outcome {
    stubborn(&at).await?;
    let answer = at.delete("pods/a").await?;
    answer.has_code(200)?;
    equal(
        "the grace",
        answer.body()["metadata"]["deletionGracePeriodSeconds"].clone(),
        60,
    )?;
    let shorter = at.delete("pods/a?gracePeriodSeconds=1").await?;
    equal(
        "a shorter one",
        shorter.body()["metadata"]["deletionGracePeriodSeconds"].clone(),
        1,
    )?;
    at.until_gone("pods/a").await
}

async fn a_pod_is_forced_without_grace(at: Place) -> Outcome {
    stubborn(&at).await?;
    at.delete_with("pods/a", &json!({"gracePeriodSeconds": 0}))
        .await?
        .has_code(200)?;
    at.get("pods/a").await?.refused(404, "NotFound")
}

async fn a_finalizer_holds_a_pod(at: Place) -> Outcome {
    at.create(
        "pods",
        &over(asleep("a"), &json!({"metadata": {"finalizers": [HOLD]}})),
    )
    .await?;
    at.delete("pods/a").await?.has_code(200)?;
    let found = at.read("pods/a").await?;
    let time = text(&found, "/metadata/deletionTimestamp");
    holds("the time", !time.is_empty(), "one", &time)?;
    release(&at, "pods/a").await?;
    at.until_gone("pods/a").await
}

async fn a_namespace_takes_what_is_in_it(at: Place) -> Outcome {
    at.create("configmaps", &held("a")).await?;
    at.delete(&at.own()).await?.has_code(200)?;
    at.until("configmaps/a", |a| a["metadata"]["deletionTimestamp"].is_string())
        .await?;
    let own = at.read(&at.own()).await?;
    equal("the phase", own["status"]["phase"].clone(), "Terminating")?;
    release(&at, "configmaps/a").await?;
    at.until_gone(&at.own()).await
}

async fn nothing_is_made_in_a_namespace_that_ends(at: Place) -> Outcome {
    at.create("configmaps", &held("a")).await?;
    at.delete(&at.own()).await?.has_code(200)?;
    let answer = at.post("configmaps", &config_map("b")).await?;
    release(&at, "configmaps/a").await?;
    answer.refused(403, "Forbidden")?;
    answer.says("because it is being terminated")?;
    answer.names_cause("metadata.namespace", "NamespaceTerminating")
}

async fn a_claim_in_use_stays(at: Place) -> Outcome {
    at.create("persistentvolumeclaims", &claim("a")).await?;
    let volumes = json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "a"}}]}});
    at.create("pods", &over(pod("a", IDLE), &volumes)).await?;
    at.until_ready("a").await?;
    at.delete("persistentvolumeclaims/a").await?.has_code(200)?;
    let held = at.read("persistentvolumeclaims/a").await?;
    equal(
        "what holds it",
        held["metadata"]["finalizers"].clone(),
        json!(["kubernetes.io/pvc-protection"]),
    )?;
    at.delete("pods/a").await?.has_code(200)?;
    at.until_gone("persistentvolumeclaims/a").await
}
