use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Pod},
};
use kube::Resource;
use serde_json::Value;

use super::*;
use crate::testing::{TestCluster, template};

async fn deployed() -> TestCluster {
    let cluster = TestCluster::start().await;
    let object = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template("web", "ready")},
    });
    cluster.create::<Deployment>(object).await;
    cluster.until(|pods: &[Pod]| pods.len() == 1).await;
    cluster
}

async fn delete(cluster: &TestCluster, options: DeleteParams) {
    cluster.api::<Deployment>().delete("web", &options).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_the_background_what_a_deployment_owns_follows_it() {
    let cluster = deployed().await;
    delete(&cluster, DeleteParams::background()).await;
    assert!(cluster.list::<Deployment>().await.is_empty());
    cluster.until(|sets: &[ReplicaSet]| sets.is_empty()).await;
    cluster.until(|pods: &[Pod]| pods.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_a_deployment_goes_last() {
    let cluster = deployed().await;
    delete(&cluster, DeleteParams::foreground()).await;
    assert!(is_deleting(&cluster.list::<Deployment>().await[0]));
    cluster.until(|all: &[Deployment]| all.is_empty()).await;
    assert!(cluster.list::<Pod>().await.is_empty());
    assert!(cluster.list::<ReplicaSet>().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn orphans_stay() {
    let cluster = deployed().await;
    delete(
        &cluster,
        DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            ..Default::default()
        },
    )
    .await;
    cluster.until(|all: &[Deployment]| all.is_empty()).await;
    cluster.settled().await;
    let sets = cluster.list::<ReplicaSet>().await;
    assert_eq!(sets.len(), 1);
    assert!(sets[0].owner_references().is_empty());
    assert_eq!(cluster.list::<Pod>().await.len(), 1);
}

fn map(name: &str, owners: &[(&str, &str)]) -> Value {
    let reference = |(name, uid): &(&str, &str)| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid});
    let owners: Vec<Value> = owners.iter().map(reference).collect();
    json!({"metadata": {"name": name, "ownerReferences": owners}})
}

#[tokio::test(start_paused = true)]
async fn one_owner_that_is_left_keeps_an_object() {
    let cluster = TestCluster::start().await;
    let mut uids = Vec::new();
    for name in ["a", "b"] {
        uids.push(
            cluster
                .create::<ConfigMap>(map(name, &[]))
                .await
                .meta()
                .uid
                .clone()
                .unwrap(),
        );
    }
    cluster
        .create::<ConfigMap>(map("owned", &[("a", &uids[0]), ("b", &uids[1])]))
        .await;
    cluster
        .api::<ConfigMap>()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    let owned = cluster
        .until_one("owned", |map: &ConfigMap| map.owner_references().len() == 1)
        .await;
    assert_eq!(owned.owner_references()[0].name, "b");
    cluster
        .api::<ConfigMap>()
        .delete("b", &DeleteParams::default())
        .await
        .unwrap();
    cluster
        .until(|maps: &[ConfigMap]| maps.iter().all(|map| map.name_any() != "owned"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_was_keeps_nothing() {
    let cluster = TestCluster::start().await;
    cluster.create::<ConfigMap>(map("owned", &[("none", "0")])).await;
    cluster
        .until(|maps: &[ConfigMap]| maps.iter().all(|map| map.name_any() != "owned"))
        .await;
}
