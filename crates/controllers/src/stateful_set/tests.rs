use k8s_openapi::api::{apps::v1::ControllerRevision, core::v1::PersistentVolumeClaim};
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestCluster, template};

fn stateful_set(image: &str, change: &Value) -> Value {
    let mut spec = json!({
        "replicas": 3,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": template("db", image),
        "volumeClaimTemplates": [{
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }],
    });
    spec.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({"metadata": {"name": "db"}, "spec": spec})
}

fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(Pod::name_any).collect()
}

fn all_ready(pods: &[Pod], count: usize) -> bool {
    pods.len() == count && pods.iter().all(|pod| pod::is_ready(pod) && !is_deleting(pod))
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

async fn created(cluster: &TestCluster) -> Vec<String> {
    let events = cluster.events("db").await;
    let created = events.into_iter().filter(|event| event.0 == "SuccessfulCreate");
    created
        .map(|event| event.1.split(' ').nth(2).unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn pods_come_in_order_with_names_and_claims_of_their_own() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<StatefulSet>(stateful_set("ready", &json!({})))
        .await;
    let pods = cluster.until(|pods: &[Pod]| all_ready(pods, 3)).await;
    assert_eq!(names(&pods), ["db-0", "db-1", "db-2"]);
    assert_eq!(created(&cluster).await, ["db-0", "db-1", "db-2"]);
    for (index, pod) in pods.iter().enumerate() {
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.hostname, Some(pod.name_any()));
        assert_eq!(spec.subdomain.as_deref(), Some("db"));
        assert_eq!(pod.labels()["apps.kubernetes.io/pod-index"], index.to_string());
        let source = spec.volumes.as_ref().unwrap()[0]
            .persistent_volume_claim
            .as_ref()
            .unwrap();
        assert_eq!(source.claim_name, format!("data-{}", pod.name_any()));
    }
    let claims = cluster.list::<PersistentVolumeClaim>().await;
    assert_eq!(claims.len(), 3);
    assert_eq!(claims[0].labels()["app"], "db");
    let settled = |set: &StatefulSet| {
        set.status
            .as_ref()
            .is_some_and(|status| status.ready_replicas == Some(3))
    };
    let status = cluster.until_one("db", settled).await.status.unwrap();
    assert_eq!(
        (status.replicas, status.current_replicas, status.updated_replicas),
        (3, Some(3), Some(3))
    );
    assert_eq!(status.current_revision, status.update_revision);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_ready_holds_up_those_behind_it() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<StatefulSet>(stateful_set("unready", &json!({})))
        .await;
    cluster.settled().await;
    assert_eq!(names(&cluster.list::<Pod>().await), ["db-0"]);
}

#[tokio::test(start_paused = true)]
async fn parallel_management_waits_for_nobody() {
    let cluster = TestCluster::start().await;
    let object = stateful_set("unready", &json!({"podManagementPolicy": "Parallel"}));
    cluster.create::<StatefulSet>(object).await;
    cluster.until(|pods: &[Pod]| pods.len() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_replaces_from_the_last_to_the_partition() {
    let cluster = TestCluster::start().await;
    let strategy = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}});
    cluster
        .create::<StatefulSet>(stateful_set("ready", &strategy))
        .await;
    let before = cluster.until(|pods: &[Pod]| all_ready(pods, 3)).await;
    let mut change = image("ready");
    change["spec"]["template"]["metadata"] = json!({"annotations": {"a": "b"}});
    cluster.patch::<StatefulSet>("db", change).await;
    let updated = |set: &StatefulSet| {
        let status = set.status.clone().unwrap_or_default();
        status.updated_replicas == Some(2) && status.ready_replicas == Some(3)
    };
    let status = cluster.until_one("db", updated).await.status.unwrap();
    assert_eq!(status.current_replicas, Some(1));
    assert_ne!(status.current_revision, status.update_revision);
    let after = cluster.list::<Pod>().await;
    let replaced: Vec<_> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| before.uid() != after.uid())
        .collect();
    assert_eq!(replaced, [false, true, true]);
    let change = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}});
    cluster.patch::<StatefulSet>("db", change).await;
    let done = |set: &StatefulSet| {
        let status = set.status.clone().unwrap_or_default();
        status.current_revision == status.update_revision && status.current_replicas == Some(3)
    };
    cluster.until_one("db", done).await;
    assert_eq!(cluster.list::<ControllerRevision>().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_pods_go_first_and_leave_their_claims() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<StatefulSet>(stateful_set("ready", &json!({})))
        .await;
    cluster.until(|pods: &[Pod]| all_ready(pods, 3)).await;
    cluster
        .patch::<StatefulSet>("db", json!({"spec": {"replicas": 1}}))
        .await;
    let pods = cluster.until(|pods: &[Pod]| pods.len() == 1).await;
    assert_eq!(names(&pods), ["db-0"]);
    let events = cluster.events("db").await;
    let deleted: Vec<_> = events
        .iter()
        .filter(|event| event.0 == "SuccessfulDelete")
        .map(|event| &*event.1)
        .collect();
    assert_eq!(
        deleted,
        [
            "delete Pod db-2 in StatefulSet db successful",
            "delete Pod db-1 in StatefulSet db successful"
        ]
    );
    assert_eq!(cluster.list::<PersistentVolumeClaim>().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn claims_go_when_the_set_says_so() {
    let cluster = TestCluster::start().await;
    let policy =
        json!({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Delete"}});
    cluster
        .create::<StatefulSet>(stateful_set("ready", &policy))
        .await;
    cluster.until(|pods: &[Pod]| all_ready(pods, 3)).await;
    cluster
        .patch::<StatefulSet>("db", json!({"spec": {"replicas": 2}}))
        .await;
    cluster
        .until(|claims: &[PersistentVolumeClaim]| claims.len() == 2)
        .await;
    cluster
        .api::<StatefulSet>()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    cluster
        .until(|claims: &[PersistentVolumeClaim]| claims.is_empty())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_comes_back_with_its_claim() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<StatefulSet>(stateful_set("ready", &json!({"replicas": 1})))
        .await;
    let before = cluster.until(|pods: &[Pod]| all_ready(pods, 1)).await;
    let claim = cluster.list::<PersistentVolumeClaim>().await.remove(0);
    cluster
        .api::<Pod>()
        .delete("db-0", &DeleteParams::default())
        .await
        .unwrap();
    cluster
        .until(|pods: &[Pod]| all_ready(pods, 1) && pods[0].uid() != before[0].uid())
        .await;
    assert_eq!(
        cluster.list::<PersistentVolumeClaim>().await[0].uid(),
        claim.uid()
    );
}
