//! The parts of objects that have paths of their own.

use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::AttachParams};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::{
    answer::INVALID,
    behaviour::{Behaviour, Outcome, behaviours, contains, equal, holds, includes},
    objects::{IDLE, SERVE, asleep, config_map, deployment, over, pod, pod_with, probe, service},
    place::{Patch, Place, items, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        the_status_is_not_written_with_the_object,
        the_spec_is_not_written_with_the_status,
        an_unknown_part_is_not_found,
        a_scale_is_read,
        a_scale_is_written,
        a_scale_is_patched,
        a_scale_is_not_negative,
        a_scale_of_an_old_version_is_a_conflict,
        a_log_is_what_was_printed,
        a_log_is_read_from_its_end,
        a_log_has_times,
        a_log_of_a_pod_without_a_node_is_empty,
        a_log_of_an_unknown_container_is_refused,
        a_log_of_one_of_two_containers_is_named,
        a_command_is_executed,
        a_command_tells_its_exit_code,
        a_pod_is_evicted,
        a_pod_that_is_missing_is_not_evicted,
        a_budget_forbids_an_eviction,
        a_pod_is_bound_once,
        a_token_is_made,
        a_token_lasts_ten_minutes_at_least,
        a_pod_is_reached_by_proxy,
        a_service_is_reached_by_proxy,
        a_service_without_endpoints_is_not_reached,
        a_namespace_is_finalized,
    ]
}

async fn the_status_is_not_written_with_the_object(at: Place) -> Outcome {
    at.create(
        "pods",
        &over(asleep("a"), &json!({"status": {"phase": "Running"}})),
    )
    .await?;
    let merged = at.merge("pods/a", &json!({"status": {"message": "b"}})).await?;
    includes(&merged["status"], &json!({"phase": "Pending", "message": null}))
}

async fn the_spec_is_not_written_with_the_status(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
    let patch = json!({"spec": {"activeDeadlineSeconds": 7}, "status": {"message": "b"}, "metadata": {"labels": {"c": "d"}}});
    let merged = at.merge("pods/a/status", &patch).await?;
    includes(
        &merged,
        &json!({"spec": {"activeDeadlineSeconds": null}, "status": {"message": "b"}}),
    )
}

async fn an_unknown_part_is_not_found(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    at.get("configmaps/a/status").await?.has_code(404)?;
    at.get("configmaps/a/scale").await?.has_code(404)
}

/// A paused Deployment, so that its pods are not made.
async fn paused(at: &Place) -> Outcome<Value> {
    at.create(
        "deployments",
        &over(deployment("a", 2, IDLE), &json!({"spec": {"paused": true}})),
    )
    .await
}

async fn a_scale_is_read(at: Place) -> Outcome {
    paused(&at).await?;
    includes(
        &at.read("deployments/a/scale").await?,
        &json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "a"},
            "spec": {"replicas": 2}, "status": {"selector": "app=a"},
        }),
    )
}

async fn a_scale_is_written(at: Place) -> Outcome {
    paused(&at).await?;
    let mut scale = at.read("deployments/a/scale").await?;
    scale["spec"]["replicas"] = 5.into();
    scale["metadata"]["resourceVersion"] = Value::Null;
    let written = at.update("deployments/a/scale", &scale).await?;
    equal("the scale", written["spec"]["replicas"].clone(), 5)?;
    equal(
        "the deployment",
        at.read("deployments/a").await?["spec"]["replicas"].clone(),
        5,
    )
}

async fn a_scale_is_patched(at: Place) -> Outcome {
    paused(&at).await?;
    let patched = at
        .merge("deployments/a/scale", &json!({"spec": {"replicas": 0}}))
        .await?;
    equal("the kind", patched["kind"].clone(), "Scale")?;
    equal(
        "the deployment",
        at.read("deployments/a").await?["spec"]["replicas"].clone(),
        0,
    )
}

async fn a_scale_is_not_negative(at: Place) -> Outcome {
    paused(&at).await?;
    let answer = at
        .patch(
            "deployments/a/scale",
            Patch::Merge,
            &json!({"spec": {"replicas": -1}}),
        )
        .await?;
    answer.refused(422, "Invalid")?;
    answer.names_cause("spec.replicas", INVALID)
}

async fn a_scale_of_an_old_version_is_a_conflict(at: Place) -> Outcome {
    paused(&at).await?;
    let old = at.read("deployments/a/scale").await?;
    at.merge("deployments/a", &json!({"metadata": {"labels": {"b": "c"}}}))
        .await?;
    let scale = over(old, &json!({"spec": {"replicas": 1}}));
    at.put("deployments/a/scale", &scale)
        .await?
        .refused(409, "Conflict")
}

async fn a_log_is_what_was_printed(at: Place) -> Outcome {
    let log = at
        .printed_by(&pod(
            "a",
            "echo one; sleep 0.2; echo two >&2; sleep 0.2; printf three",
        ))
        .await?;
    equal("the log", log, "one\ntwo\nthree")
}

async fn a_log_is_read_from_its_end(at: Place) -> Outcome {
    at.printed_by(&pod("a", "echo one; echo two; echo three")).await?;
    equal(
        "two lines",
        at.get("pods/a/log?tailLines=2").await?.text(),
        "two\nthree\n",
    )?;
    equal(
        "five bytes",
        at.get("pods/a/log?limitBytes=5").await?.text(),
        "one\nt",
    )
}

async fn a_log_has_times(at: Place) -> Outcome {
    at.printed_by(&pod("a", "echo one")).await?;
    let answer = at.get("pods/a/log?timestamps=true").await?;
    let (time, line) = answer.text().split_once(' ').unwrap_or_default();
    equal("the line", line, "one\n")?;
    let is_time = time.contains('T') && time.ends_with('Z');
    holds("the time", is_time, "one of RFC 3339", &time)
}

async fn a_log_of_a_pod_without_a_node_is_empty(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
    let answer = at.get("pods/a/log").await?;
    answer.has_code(204)?;
    equal("the log", answer.text(), "")
}

async fn a_log_of_an_unknown_container_is_refused(at: Place) -> Outcome {
    at.printed_by(&pod("a", "true")).await?;
    let answer = at.get("pods/a/log?container=x").await?;
    answer.refused(400, "BadRequest")?;
    answer.says("container x is not valid for pod a")
}

async fn a_log_of_one_of_two_containers_is_named(at: Place) -> Outcome {
    let mut two = pod("a", "echo one");
    let second = over(
        two["spec"]["containers"][0].clone(),
        &json!({"name": "d", "command": ["sh", "-c", "echo two"]}),
    );
    two["spec"]["containers"] = json!([two["spec"]["containers"][0], second]);
    at.create("pods", &two).await?;
    at.log_of_ended("a").await?;
    let answer = at.get("pods/a/log").await?;
    answer.refused(400, "BadRequest")?;
    answer.says("a container name must be specified for pod a, choose one of: [c d]")?;
    equal(
        "the second log",
        at.get("pods/a/log?container=d").await?.text(),
        "two\n",
    )
}

/// What a command prints in a running pod, and its exit code.
async fn executed(at: &Place, script: &str) -> Outcome<(String, String)> {
    at.create("pods", &pod("a", IDLE)).await?;
    at.until_ready("a").await?;
    let pods: Api<Pod> = Api::namespaced(at.client().clone(), at.namespace());
    let mut process = pods
        .exec("a", ["sh", "-c", script], &AttachParams::default())
        .await?;
    let mut printed = String::new();
    if let Some(mut output) = process.stdout() {
        output.read_to_string(&mut printed).await?;
    }
    let status = process.take_status();
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let status = serde_json::to_value(status).unwrap_or_default();
    Ok((printed, status.to_string()))
}

async fn a_command_is_executed(at: Place) -> Outcome {
    let (printed, status) = executed(&at, "echo one; echo two >&2").await?;
    equal("the output", printed, "one\n")?;
    contains("the status", &status, r#""status":"Success""#)
}

async fn a_command_tells_its_exit_code(at: Place) -> Outcome {
    let (_, status) = executed(&at, "exit 7").await?;
    contains("the status", &status, r#""reason":"NonZeroExitCode""#)?;
    contains("the status", &status, r#""reason":"ExitCode""#)?;
    contains("the status", &status, r#""message":"7""#)
}

fn eviction(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
}

async fn a_pod_is_evicted(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
    let answer = at.post("pods/a/eviction", &eviction("a")).await?;
    includes(
        &answer.done(StatusCode::CREATED)?,
        &json!({"kind": "Status", "status": "Success"}),
    )?;
    at.until_gone("pods/a").await
}

async fn a_pod_that_is_missing_is_not_evicted(at: Place) -> Outcome {
    at.post("pods/a/eviction", &eviction("a"))
        .await?
        .refused(404, "NotFound")
}

async fn a_budget_forbids_an_eviction(at: Place) -> Outcome {
    let budget = json!({"metadata": {"name": "b"}, "spec": {
        "minAvailable": 1, "selector": {"matchLabels": {"app": "a"}},
    }});
    at.create("poddisruptionbudgets", &budget).await?;
    at.create("pods", &pod("a", IDLE)).await?;
    at.until_ready("a").await?;
    at.until("poddisruptionbudgets/b", |budget| {
        budget["status"]["currentHealthy"] == 1
    })
    .await?;
    let answer = at.post("pods/a/eviction", &eviction("a")).await?;
    answer.refused(429, "TooManyRequests")?;
    answer.says("Cannot evict pod as it would violate the pod's disruption budget.")
}

async fn a_pod_is_bound_once(at: Place) -> Outcome {
    let nodes = at.read("/api/v1/nodes").await?;
    let node = items(&nodes)
        .last()
        .map_or("", |node| text(node, "/metadata/name"));
    at.create("pods", &asleep("a")).await?;
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"kind": "Node", "name": node},
    });
    at.post("pods/a/binding", &binding).await?.has_code(201)?;
    let bound = at.read("pods/a").await?;
    equal("the node", bound["spec"]["nodeName"].clone(), node)?;
    let again = at.post("pods/a/binding", &binding).await?;
    again.refused(409, "Conflict")?;
    again.says("is already assigned to node")
}

async fn a_token_is_made(at: Place) -> Outcome {
    let request = json!({"spec": {"expirationSeconds": 600}});
    let answer = at.create("serviceaccounts/default/token", &request).await?;
    includes(
        &answer,
        &json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}),
    )?;
    let parts = text(&answer, "/status/token").split('.').count();
    equal("the parts of the token", parts, 3)?;
    let expiry = text(&answer, "/status/expirationTimestamp");
    holds("the expiry", expiry.ends_with('Z'), "a time", &expiry)
}

async fn a_token_lasts_ten_minutes_at_least(at: Place) -> Outcome {
    let request = json!({"spec": {"expirationSeconds": 60}});
    let answer = at.post("serviceaccounts/default/token", &request).await?;
    answer.refused(422, "Invalid")?;
    answer.names_cause("spec.expirationSeconds", INVALID)
}

/// A pod that serves by HTTP and is ready when it does.
async fn serving(at: &Place) -> Outcome {
    let ready = probe("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8080))'");
    at.create(
        "pods",
        &pod_with(
            "a",
            &format!("echo hello > /tmp/index.html; {SERVE}"),
            &json!({"readinessProbe": ready}),
        ),
    )
    .await?;
    at.until_ready("a").await.map(drop)
}

async fn a_pod_is_reached_by_proxy(at: Place) -> Outcome {
    serving(&at).await?;
    let answer = at
        .until_answer("pods/a:8080/proxy/index.html", |answer| answer.is_success())
        .await?;
    equal("the page", answer.text(), "hello\n")?;
    at.get("pods/a:8080/proxy/none").await?.has_code(404)
}

async fn a_service_is_reached_by_proxy(at: Place) -> Outcome {
    let named = json!({"spec": {"ports": [{"name": "http"}]}});
    at.create("services", &over(service("a"), &named)).await?;
    serving(&at).await?;
    for place in ["a:http", "a:80", "http:a:http"] {
        let path = format!("services/{place}/proxy/");
        let answer = at.until_answer(&path, |answer| answer.is_success()).await?;
        equal(place, answer.text(), "hello\n")?;
    }
    let head = at
        .send(Method::HEAD, "services/a:http/proxy/", &[], Vec::new())
        .await?;
    equal("the media type", head.header("content-type"), "text/html")
}

async fn a_service_without_endpoints_is_not_reached(at: Place) -> Outcome {
    at.create("services", &service("a")).await?;
    let answer = at.get("services/a/proxy/").await?;
    answer.refused(503, "ServiceUnavailable")?;
    answer.says("no endpoints available for service \"a\"")
}

async fn a_namespace_is_finalized(at: Place) -> Outcome {
    let own = at.read(&at.own()).await?;
    let more = over(
        own,
        &json!({"spec": {"finalizers": ["kubernetes", "x.example/more"]}}),
    );
    let path = format!("{}/finalize", at.own());
    let written = at.update(&path, &more).await?;
    let mut released = written.clone();
    released["spec"]["finalizers"] = json!(["kubernetes"]);
    at.update(&path, &released).await?;
    equal(
        "the finalizers",
        written["spec"]["finalizers"].clone(),
        json!(["kubernetes", "x.example/more"]),
    )
}
