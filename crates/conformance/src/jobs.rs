//! Jobs, and the other kinds that run pods to an end.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal, includes},
    objects::{IDLE, deployment, job, over},
    place::{Place, condition, items, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_job_completes,
        a_failing_pod_is_followed_by_another,
        a_failing_container_is_started_again,
        a_job_fails_after_its_retries,
        a_job_fails_at_its_deadline,
        several_completions_run_together,
        an_index_is_in_the_environment,
        a_suspended_job_has_no_pods,
        a_job_that_is_over_is_removed_when_asked,
        pods_of_a_job_know_it,
        a_daemon_set_runs_on_every_node,
    ]
}

/// The condition that ends a Job.
async fn until_over(at: &Place) -> Outcome<(Value, Value)> {
    let end = |job: &Value| {
        let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
        let is_end =
            |one: &&Value| matches!(text(one, "/type"), "Complete" | "Failed") && one["status"] == "True";
        conditions.find(is_end).cloned()
    };
    let job = at.until("jobs/a", |job| end(job).is_some()).await?;
    let end = end(&job).unwrap_or_default();
    Ok((job, end))
}

async fn run(at: &Place, object: &Value) -> Outcome<(Value, Value)> {
    at.create("jobs", object).await?;
    until_over(at).await
}

fn with_spec(script: &str, spec: &Value) -> Value {
    over(job("a", script), &json!({"spec": spec}))
}

async fn a_job_completes(at: Place) -> Outcome {
    let (job, end) = run(&at, &job("a", "true")).await?;
    equal("the end", end["type"].clone(), "Complete")?;
    includes(
        &job["status"],
        &json!({"succeeded": 1, "failed": null, "active": null}),
    )?;
    let time = text(&job, "/status/completionTime");
    crate::behaviour::holds("the time", !time.is_empty(), "one", &time)?;
    equal("criteria", condition(&job, "SuccessCriteriaMet"), "True")
}

async fn a_failing_pod_is_followed_by_another(at: Place) -> Outcome {
    at.create("jobs", &with_spec("exit 1", &json!({"backoffLimit": 1})))
        .await?;
    let pods = at.until("pods", |pods| items(pods).len() == 2).await?;
    let failed = items(&pods)
        .iter()
        .filter(|pod| pod["status"]["phase"] == "Failed")
        .count();
    crate::behaviour::holds("failed pods", failed >= 1, "one or two", &failed)
}

async fn a_failing_container_is_started_again(at: Place) -> Outcome {
    let script = "test -e /v/again && exit 0; touch /v/again; exit 1";
    let on_failure = json!({"template": {"spec": {
        "restartPolicy": "OnFailure", "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
    }}});
    let (_, end) = run(&at, &with_spec(script, &on_failure)).await?;
    equal("the end", end["type"].clone(), "Complete")?;
    let pods = at.read("pods").await?;
    equal("the pods", items(&pods).len(), 1)?;
    let restarts = &pods["items"][0]["status"]["containerStatuses"][0]["restartCount"];
    equal("the restarts", restarts.clone(), 1)
}

async fn a_job_fails_after_its_retries(at: Place) -> Outcome {
    let (job, end) = run(&at, &with_spec("exit 1", &json!({"backoffLimit": 0}))).await?;
    includes(&end, &json!({"type": "Failed", "reason": "BackoffLimitExceeded"}))?;
    contains(
        "the message",
        text(&end, "/message"),
        "Job has reached the specified backoff limit",
    )?;
    equal("the failures", job["status"]["failed"].clone(), 1)
}

async fn a_job_fails_at_its_deadline(at: Place) -> Outcome {
    let (_, end) = run(&at, &with_spec(IDLE, &json!({"activeDeadlineSeconds": 1}))).await?;
    includes(
        &end,
        &json!({
            "type": "Failed", "reason": "DeadlineExceeded",
            "message": "Job was active longer than specified deadline",
        }),
    )?;
    at.until("pods", |pods| items(pods).is_empty()).await.map(drop)
}

async fn several_completions_run_together(at: Place) -> Outcome {
    let three = json!({"completions": 3, "parallelism": 2});
    let (job, _) = run(&at, &with_spec("sleep 0.3", &three)).await?;
    equal("the successes", job["status"]["succeeded"].clone(), 3)?;
    equal("the pods", at.names("pods").await?.len(), 3)
}

async fn an_index_is_in_the_environment(at: Place) -> Outcome {
    let indexed = json!({"completions": 2, "completionMode": "Indexed"});
    let (job, _) = run(
        &at,
        &with_spec("echo $JOB_COMPLETION_INDEX $(hostname)", &indexed),
    )
    .await?;
    equal("the indexes", job["status"]["completedIndexes"].clone(), "0,1")?;
    let mut printed = Vec::new();
    for pod in at.names("pods").await? {
        printed.push(at.get(&format!("pods/{pod}/log")).await?.text().to_owned());
    }
    printed.sort();
    equal("the logs", printed, vec!["0 a-0\n", "1 a-1\n"])
}

async fn a_suspended_job_has_no_pods(at: Place) -> Outcome {
    at.create("jobs", &with_spec("true", &json!({"suspend": true})))
        .await?;
    at.until("jobs/a", |job| condition(job, "Suspended") == "True")
        .await?;
    equal("the pods", at.names("pods").await?, Vec::<String>::new())?;
    at.merge("jobs/a", &json!({"spec": {"suspend": false}})).await?;
    let (job, end) = until_over(&at).await?;
    equal("the end", end["type"].clone(), "Complete")?;
    equal("suspension", condition(&job, "Suspended"), "False")
}

async fn a_job_that_is_over_is_removed_when_asked(at: Place) -> Outcome {
    at.create("jobs", &with_spec("true", &json!({"ttlSecondsAfterFinished": 0})))
        .await?;
    at.until_gone("jobs/a").await?;
    at.until("pods", |pods| items(pods).is_empty()).await.map(drop)
}

async fn pods_of_a_job_know_it(at: Place) -> Outcome {
    let (job, _) = run(&at, &job("a", "true")).await?;
    let pods = at.read("pods").await?;
    let pod = &pods["items"][0];
    let uid = &job["metadata"]["uid"];
    includes(
        &pod["metadata"],
        &json!({
            "labels": {"job-name": "a", "batch.kubernetes.io/job-name": "a", "controller-uid": uid},
            "ownerReferences": [{"kind": "Job", "uid": uid, "controller": true}],
        }),
    )?;
    at.until("pods", |pods| {
        pods["items"][0]["metadata"]["finalizers"].is_null()
    })
    .await
    .map(drop)
}

async fn a_daemon_set_runs_on_every_node(at: Place) -> Outcome {
    let mut set = deployment("a", 1, IDLE);
    set["kind"] = "DaemonSet".into();
    if let Some(spec) = set["spec"].as_object_mut() {
        spec.remove("replicas");
    }
    at.create("daemonsets", &set).await?;
    let nodes = at.names("/api/v1/nodes").await?.len();
    at.until("daemonsets/a", |set| set["status"]["numberReady"] == nodes)
        .await
        .map(drop)
}
