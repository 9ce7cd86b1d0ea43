use serde_json::{Value, json};

use super::*;
use crate::testing::{TestCluster, template};

fn job(image: &str, change: &Value) -> Value {
    let mut template = template("task", image);
    template["spec"]["restartPolicy"] = "Never".into();
    let mut spec = json!({"template": template});
    spec.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({"metadata": {"name": "task"}, "spec": spec})
}

async fn finished(cluster: &TestCluster) -> Job {
    cluster.until_one("task", condition::is_finished).await
}

fn conditions(job: &Job) -> Vec<(String, String)> {
    let conditions = job
        .status
        .clone()
        .unwrap_or_default()
        .conditions
        .unwrap_or_default();
    conditions
        .into_iter()
        .map(|one| (one.type_, one.reason.unwrap_or_default()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(kind, reason)| ((*kind).to_owned(), (*reason).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_is_complete_when_enough_pods_succeeded() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Job>(job("succeeds", &json!({"completions": 3, "parallelism": 2})))
        .await;
    let job = finished(&cluster).await;
    let status = job.status.clone().unwrap();
    assert_eq!(
        (status.succeeded, status.failed, status.active),
        (Some(3), None, None)
    );
    assert!(status.start_time.is_some() && status.completion_time.is_some());
    let expected = [
        ("SuccessCriteriaMet", "CompletionsReached"),
        ("Complete", "CompletionsReached"),
    ];
    assert_eq!(conditions(&job), pairs(&expected));
    let pods = cluster.list::<Pod>().await;
    assert_eq!(pods.len(), 3);
    assert!(
        pods.iter()
            .all(|pod| pod.finalizers().is_empty() && pod.labels()["job-name"] == "task")
    );
    assert_eq!(cluster.event("task", "Completed").await, "Job completed");
}

#[tokio::test(start_paused = true)]
async fn a_job_fails_when_its_pods_failed_too_often_with_pauses_between() {
    let cluster = TestCluster::start().await;
    let begun = tokio::time::Instant::now();
    cluster
        .create::<Job>(job("fails", &json!({"backoffLimit": 2})))
        .await;
    let job = finished(&cluster).await;
    let status = job.status.clone().unwrap();
    assert_eq!((status.succeeded, status.failed), (None, Some(3)));
    let expected = [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ];
    assert_eq!(conditions(&job), pairs(&expected));
    let message = cluster.event("task", "BackoffLimitExceeded").await;
    assert_eq!(message, "Job has reached the specified backoff limit");
    // 10 s and 20 s, by the paused clock
    assert_eq!(begun.elapsed().as_secs() / 10, 3);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_is_ended() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Job>(job("ready", &json!({"activeDeadlineSeconds": 30})))
        .await;
    let job = finished(&cluster).await;
    assert_eq!(
        conditions(&job)[1],
        ("Failed".to_owned(), "DeadlineExceeded".to_owned())
    );
    cluster.until(|pods: &[Pod]| pods.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_indexed_job_gives_each_pod_a_number() {
    let cluster = TestCluster::start().await;
    let change = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    cluster.create::<Job>(job("succeeds", &change)).await;
    let job = finished(&cluster).await;
    assert_eq!(job.status.unwrap().completed_indexes.as_deref(), Some("0-2"));
    let mut hosts: Vec<_> = cluster
        .list::<Pod>()
        .await
        .into_iter()
        .map(|pod| pod.spec.unwrap().hostname)
        .collect();
    hosts.sort();
    assert_eq!(
        hosts.into_iter().flatten().collect::<Vec<_>>(),
        ["task-0", "task-1", "task-2"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_suspended_job_has_no_pods_until_it_is_resumed() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Job>(job("succeeds", &json!({"suspend": true})))
        .await;
    cluster
        .until_one("task", |job: &Job| {
            conditions(job) == pairs(&[("Suspended", "JobSuspended")])
        })
        .await;
    assert!(cluster.list::<Pod>().await.is_empty());
    cluster
        .patch::<Job>("task", json!({"spec": {"suspend": false}}))
        .await;
    finished(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_goes_after_its_time_with_its_pods() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Job>(job("succeeds", &json!({"ttlSecondsAfterFinished": 60})))
        .await;
    finished(&cluster).await;
    cluster.until(|jobs: &[Job]| jobs.is_empty()).await;
    cluster.until(|pods: &[Pod]| pods.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_deleted_lets_its_pods_go() {
    let cluster = TestCluster::start().await;
    cluster.create::<Job>(job("ready", &json!({}))).await;
    cluster.until(|pods: &[Pod]| pods.iter().any(pod::is_ready)).await;
    cluster
        .api::<Job>()
        .delete("task", &DeleteParams::background())
        .await
        .unwrap();
    cluster.until(|pods: &[Pod]| pods.is_empty()).await;
}
