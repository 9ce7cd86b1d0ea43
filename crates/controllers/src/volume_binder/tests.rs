use serde_json::Value;

use super::*;
use crate::testing::TestCluster;

fn claim(class: &str) -> Value {
    json!({
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": Some(class).filter(|class| !class.is_empty()),
        },
    })
}

fn volume(name: &str, size: &str, class: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "storageClassName": class,
            "hostPath": {"path": "/tmp"},
        },
    })
}

async fn bound(cluster: &TestCluster) -> PersistentVolumeClaim {
    cluster.until_one("data", is_bound).await
}

#[tokio::test(start_paused = true)]
async fn a_claim_gets_a_volume_of_the_default_class_that_goes_with_it() {
    let cluster = TestCluster::start().await;
    cluster.create::<PersistentVolumeClaim>(claim("")).await;
    let claim = bound(&cluster).await;
    let spec = claim.spec.clone().unwrap();
    assert_eq!(spec.storage_class_name.as_deref(), Some("standard"));
    let name = spec.volume_name.unwrap();
    assert_eq!(name, format!("pvc-{}", claim.uid().unwrap()));
    assert_eq!(claim.status.unwrap().capacity.unwrap()["storage"].0, "1Gi");
    let volumes = cluster.all::<PersistentVolume>();
    let volume = volumes.get(&name).await.unwrap();
    assert_eq!(volume.status.unwrap().phase.as_deref(), Some("Bound"));
    cluster
        .api::<PersistentVolumeClaim>()
        .delete("data", &DeleteParams::default())
        .await
        .unwrap();
    cluster.settled().await;
    assert!(volumes.get_opt(&name).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_an_unknown_class_stays_pending_and_says_so() {
    let cluster = TestCluster::start().await;
    cluster.create::<PersistentVolumeClaim>(claim("fast")).await;
    let message = cluster.event("data", "ProvisioningFailed").await;
    assert_eq!(message, "storageclass.storage.k8s.io \"fast\" not found");
    let found: PersistentVolumeClaim = cluster.api().get("data").await.unwrap();
    assert_eq!(found.status.unwrap().phase.as_deref(), Some("Pending"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_the_smallest_volume_that_is_large_enough() {
    let cluster = TestCluster::start().await;
    for (name, size) in [("large", "3Gi"), ("fitting", "2Gi"), ("small", "500Mi")] {
        let object = volume(name, size, "manual");
        cluster.create_in::<PersistentVolume>(cluster.all(), object).await;
    }
    cluster.create::<PersistentVolumeClaim>(claim("manual")).await;
    let claim = bound(&cluster).await;
    assert_eq!(claim.spec.unwrap().volume_name.as_deref(), Some("fitting"));
    cluster
        .api::<PersistentVolumeClaim>()
        .delete("data", &DeleteParams::default())
        .await
        .unwrap();
    cluster.settled().await;
    let kept = cluster.all::<PersistentVolume>().get("fitting").await.unwrap();
    assert_eq!(kept.status.unwrap().phase.as_deref(), Some("Released"));
}
