use k8s_openapi::api::apps::v1::DeploymentCondition;
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestCluster, template};

fn deployment(image: &str, change: &Value) -> Value {
    let mut spec = json!({
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template("web", image),
    });
    spec.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({"metadata": {"name": "web"}, "spec": spec})
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

fn condition(deployment: &Deployment, kind: &str) -> DeploymentCondition {
    let conditions = deployment
        .status
        .clone()
        .unwrap_or_default()
        .conditions
        .unwrap_or_default();
    conditions
        .into_iter()
        .find(|condition| condition.type_ == kind)
        .unwrap_or_default()
}

fn is_complete(deployment: &Deployment) -> bool {
    status::is_complete(deployment, &deployment.status.clone().unwrap_or_default())
}

fn reason_is(deployment: &Deployment, kind: &str, reason: &str) -> bool {
    condition(deployment, kind).reason.as_deref() == Some(reason)
}

async fn sets(cluster: &TestCluster) -> Vec<(i64, i32)> {
    let mut sets: Vec<_> = cluster.list::<ReplicaSet>().await;
    sets.sort_by_key(annotation::revision_of_set);
    sets.iter()
        .map(|set| (annotation::revision_of_set(set), scaling::replicas(set)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_gets_its_pods_and_says_so() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Deployment>(deployment("ready", &json!({})))
        .await;
    let done = cluster
        .until_one("web", |one| {
            reason_is(one, "Progressing", "NewReplicaSetAvailable")
        })
        .await;
    let status = done.status.clone().unwrap();
    assert_eq!(
        (status.replicas, status.ready_replicas, status.available_replicas),
        (Some(3), Some(3), Some(3))
    );
    assert_eq!(
        (status.updated_replicas, status.unavailable_replicas),
        (Some(3), None)
    );
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(
        condition(&done, "Available").reason.as_deref(),
        Some("MinimumReplicasAvailable")
    );
    assert_eq!(done.annotations()["deployment.kubernetes.io/revision"], "1");
    let set = cluster.list::<ReplicaSet>().await.remove(0);
    let hash = set.labels()["pod-template-hash"].clone();
    assert_eq!(set.name_any(), format!("web-{hash}"));
    for pod in cluster.list::<Pod>().await {
        assert_eq!(pod.labels()["pod-template-hash"], hash);
        assert!(pod.name_any().starts_with(&format!("web-{hash}-")));
    }
    let message = format!("Scaled up replica set web-{hash} from 0 to 3");
    assert_eq!(
        cluster.events("web").await,
        [("ScalingReplicaSet".to_owned(), message)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollout_keeps_within_surge_and_unavailability() {
    let cluster = TestCluster::start().await;
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let object = deployment("ready", &json!({"strategy": strategy, "minReadySeconds": 5}));
    cluster.create::<Deployment>(object).await;
    cluster.until_one("web", is_complete).await;
    let watch = async {
        loop {
            let pods = cluster.list::<Pod>().await;
            let ready = pods
                .iter()
                .filter(|pod| pod::is_ready(pod) && !is_deleting(*pod))
                .count();
            let active = pods.iter().filter(|pod| pod::is_active(pod)).count();
            assert!(ready >= 3 && active <= 4, "{ready} ready, {active} active");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let mut change = image("ready");
    change["spec"]["template"]["metadata"] =
        json!({"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}});
    cluster.patch::<Deployment>("web", change).await;
    let rolled = async {
        cluster
            .until_one("web", |one: &Deployment| {
                one.status.clone().unwrap_or_default().observed_generation == Some(2) && is_complete(one)
            })
            .await
    };
    tokio::select! { () = watch => {}, _ = rolled => {} }
    assert_eq!(sets(&cluster).await, [(1, 0), (2, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_gets_no_ready_pods_keeps_the_old_ones_and_times_out() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Deployment>(deployment("ready", &json!({"progressDeadlineSeconds": 60})))
        .await;
    cluster.until_one("web", is_complete).await;
    cluster.patch::<Deployment>("web", image("unready")).await;
    let late = cluster
        .until_one("web", |one| {
            reason_is(one, "Progressing", "ProgressDeadlineExceeded")
        })
        .await;
    let set = cluster
        .list::<ReplicaSet>()
        .await
        .into_iter()
        .max_by_key(annotation::revision_of_set)
        .unwrap();
    let message = format!("ReplicaSet {:?} has timed out progressing.", set.name_any());
    assert_eq!(condition(&late, "Progressing").message, Some(message));
    assert_eq!(condition(&late, "Available").status, "True");
    assert_eq!(sets(&cluster).await, [(1, 3), (2, 1)]);
    // back to the first template: its ReplicaSet becomes revision 3
    cluster.patch::<Deployment>("web", image("ready")).await;
    cluster.until_one("web", is_complete).await;
    assert_eq!(sets(&cluster).await, [(2, 0), (3, 3)]);
}

#[tokio::test(start_paused = true)]
async fn recreate_ends_the_old_pods_before_it_makes_new_ones() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Deployment>(deployment("ready", &json!({"strategy": {"type": "Recreate"}})))
        .await;
    cluster.until_one("web", is_complete).await;
    let old: Vec<_> = cluster.list::<Pod>().await.iter().map(|pod| pod.uid()).collect();
    cluster.patch::<Deployment>("web", image("unready")).await;
    let pods = cluster
        .until(|pods: &[Pod]| pods.iter().any(|pod| !old.contains(&pod.uid())))
        .await;
    assert!(pods.iter().all(|pod| !old.contains(&pod.uid())));
}

#[tokio::test(start_paused = true)]
async fn scaling_needs_no_new_revision() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Deployment>(deployment("ready", &json!({})))
        .await;
    cluster.until_one("web", is_complete).await;
    for replicas in [5, 1, 0] {
        cluster
            .patch::<Deployment>("web", json!({"spec": {"replicas": replicas}}))
            .await;
        cluster
            .until_one("web", |one: &Deployment| {
                is_complete(one) && one.spec.as_ref().unwrap().replicas == Some(replicas)
            })
            .await;
        assert_eq!(sets(&cluster).await, [(1, replicas)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_waits_with_its_new_template() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Deployment>(deployment("ready", &json!({})))
        .await;
    cluster.until_one("web", is_complete).await;
    let mut change = image("other");
    change["spec"]["paused"] = true.into();
    cluster.patch::<Deployment>("web", change).await;
    let paused = cluster
        .until_one("web", |one| reason_is(one, "Progressing", "DeploymentPaused"))
        .await;
    assert_eq!(condition(&paused, "Progressing").status, "Unknown");
    cluster.settled().await;
    assert_eq!(sets(&cluster).await, [(1, 3)]);
    cluster
        .patch::<Deployment>("web", json!({"spec": {"paused": false}}))
        .await;
    cluster.until(|sets: &[ReplicaSet]| sets.len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn old_replica_sets_are_kept_up_to_the_limit() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Deployment>(deployment("ready", &json!({"revisionHistoryLimit": 1})))
        .await;
    for round in 0..3 {
        let round =
            json!({"spec": {"template": {"metadata": {"annotations": {"round": round.to_string()}}}}});
        let changed: Deployment = cluster.patch("web", round).await;
        cluster
            .until_one("web", |one: &Deployment| {
                is_complete(one) && one.metadata.generation == changed.metadata.generation
            })
            .await;
    }
    cluster.until(|sets: &[ReplicaSet]| sets.len() == 2).await;
    let kept = sets(&cluster).await;
    assert_eq!(kept.iter().map(|set| set.1).collect::<Vec<_>>(), [0, 3]);
}
