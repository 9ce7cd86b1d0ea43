//! The life of pods: their containers' ends, restarts, probes and order.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal, holds, includes},
    objects::{IDLE, container, over, pod, pod_with, probe},
    place::{Place, condition, items, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_pod_that_ends_well_succeeds,
        a_pod_that_ends_badly_fails,
        an_exit_code_is_told,
        a_message_is_what_was_written_to_its_file,
        a_message_may_be_the_end_of_the_log,
        a_container_that_always_runs_is_started_again,
        a_container_that_fails_again_backs_off,
        a_failure_is_followed_by_a_start_alone,
        a_pod_has_a_deadline,
        init_containers_run_in_order,
        an_init_container_that_fails_ends_the_pod,
        an_init_container_that_runs_holds_the_rest,
        a_sidecar_runs_beside,
        a_pod_has_addresses_and_conditions,
        a_container_is_ready_when_its_probe_is,
        a_container_is_unready_when_its_probe_fails,
        a_container_that_is_dead_is_started_again,
        a_slow_start_is_no_death,
        a_readiness_gate_holds_readiness,
        a_hook_runs_before_the_end,
        a_hook_runs_after_the_start,
        an_image_that_is_missing_is_told,
        a_config_map_that_is_missing_is_told,
        a_pod_that_fits_nowhere_is_pending,
        a_pod_waits_for_its_node_label,
        a_container_that_cannot_run_is_told,
        events_tell_what_happened,
    ]
}

fn status(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

async fn ended(at: &Place, object: &Value) -> Outcome<Value> {
    at.create("pods", object).await?;
    at.until("pods/a", is_over).await
}

async fn a_pod_that_ends_well_succeeds(at: Place) -> Outcome {
    let pod = ended(&at, &pod("a", "true")).await?;
    equal("the phase", pod["status"]["phase"].clone(), "Succeeded")?;
    includes(
        &status(&pod)["state"],
        &json!({"terminated": {"exitCode": 0, "reason": "Completed"}}),
    )?;
    equal("readiness", condition(&pod, "Ready"), "False")
}

async fn a_pod_that_ends_badly_fails(at: Place) -> Outcome {
    let pod = ended(&at, &pod("a", "exit 1")).await?;
    equal("the phase", pod["status"]["phase"].clone(), "Failed")
}

async fn an_exit_code_is_told(at: Place) -> Outcome {
    let pod = ended(&at, &pod("a", "exit 42")).await?;
    includes(
        &status(&pod)["state"]["terminated"],
        &json!({"exitCode": 42, "reason": "Error"}),
    )?;
    let terminated = &status(&pod)["state"]["terminated"];
    let has_times = terminated["startedAt"].is_string() && terminated["finishedAt"].is_string();
    holds("the times", has_times, "start and end", terminated)
}

async fn a_message_is_what_was_written_to_its_file(at: Place) -> Outcome {
    let pod = ended(&at, &pod("a", "printf goodbye > /dev/termination-log; exit 1")).await?;
    equal(
        "the message",
        status(&pod)["state"]["terminated"]["message"].clone(),
        "goodbye",
    )
}

async fn a_message_may_be_the_end_of_the_log(at: Place) -> Outcome {
    let policy = json!({"terminationMessagePolicy": "FallbackToLogsOnError"});
    let pod = ended(&at, &pod_with("a", "echo goodbye; exit 1", &policy)).await?;
    equal(
        "the message",
        status(&pod)["state"]["terminated"]["message"].clone(),
        "goodbye\n",
    )
}

fn with_policy(policy: &str, script: &str) -> Value {
    over(pod("a", script), &json!({"spec": {"restartPolicy": policy}}))
}

async fn a_container_that_always_runs_is_started_again(at: Place) -> Outcome {
    at.create("pods", &with_policy("Always", "exit 0")).await?;
    let pod = at
        .until("pods/a", |pod| status(pod)["restartCount"].as_u64() >= Some(1))
        .await?;
    includes(
        status(&pod)["lastState"]
            .get("terminated")
            .unwrap_or(&Value::Null),
        &json!({"exitCode": 0, "reason": "Completed"}),
    )
}

async fn a_container_that_fails_again_backs_off(at: Place) -> Outcome {
    at.create("pods", &with_policy("Always", "exit 3")).await?;
    let waits = |pod: &Value| status(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let pod = at.until("pods/a", waits).await?;
    includes(
        &status(&pod)["lastState"]["terminated"],
        &json!({"exitCode": 3, "reason": "Error"}),
    )?;
    contains(
        "the message",
        text(status(&pod), "/state/waiting/message"),
        "restarting failed container=c pod=a_",
    )?;
    equal("the phase", pod["status"]["phase"].clone(), "Running")
}

async fn a_failure_is_followed_by_a_start_alone(at: Place) -> Outcome {
    let volume = json!({"spec": {
        "volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
    }});
    let script = "test -e /v/again && exit 0; touch /v/again; exit 1";
    let pod = ended(&at, &over(with_policy("OnFailure", script), &volume)).await?;
    equal("the phase", pod["status"]["phase"].clone(), "Succeeded")?;
    equal("the restarts", status(&pod)["restartCount"].clone(), 1)
}

async fn a_pod_has_a_deadline(at: Place) -> Outcome {
    let limited = over(pod("a", IDLE), &json!({"spec": {"activeDeadlineSeconds": 2}}));
    let pod = ended(&at, &limited).await?;
    includes(
        &pod["status"],
        &json!({"phase": "Failed", "reason": "DeadlineExceeded"}),
    )
}

/// A pod with init containers that run these scripts, and a volume at `/v` in all.
fn initialised(init: &[&str], script: &str) -> Value {
    let mount = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let init = init.iter().enumerate().map(|(index, script)| {
        let name = json!({"name": format!("i{index}")});
        over(over(container(script), &name), &mount)
    });
    let spec = json!({"spec": {
        "volumes": [{"name": "v", "emptyDir": {}}], "initContainers": init.collect::<Vec<_>>(),
        "containers": [mount],
    }});
    over(pod("a", script), &spec)
}

async fn init_containers_run_in_order(at: Place) -> Outcome {
    let object = initialised(&["echo one >> /v/f", "echo two >> /v/f"], "cat /v/f; echo three");
    equal("the log", at.printed_by(&object).await?, "one\ntwo\nthree\n")?;
    let pod = at.read("pods/a").await?;
    includes(
        &pod["status"]["initContainerStatuses"],
        &json!([
            {"name": "i0", "ready": true, "state": {"terminated": {"reason": "Completed"}}}, {"name": "i1"},
        ]),
    )
}

async fn an_init_container_that_fails_ends_the_pod(at: Place) -> Outcome {
    let pod = ended(&at, &initialised(&["exit 5"], "true")).await?;
    equal("the phase", pod["status"]["phase"].clone(), "Failed")?;
    let init = &pod["status"]["initContainerStatuses"][0];
    equal(
        "the exit code",
        init["state"]["terminated"]["exitCode"].clone(),
        5,
    )?;
    equal("initialization", condition(&pod, "Initialized"), "False")
}

async fn an_init_container_that_runs_holds_the_rest(at: Place) -> Outcome {
    at.create("pods", &initialised(&[IDLE], IDLE)).await?;
    let runs = |pod: &Value| pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object();
    let pod = at.until("pods/a", runs).await?;
    equal("the phase", pod["status"]["phase"].clone(), "Pending")?;
    equal(
        "the container",
        status(&pod)["state"]["waiting"]["reason"].clone(),
        "PodInitializing",
    )
}

async fn a_sidecar_runs_beside(at: Place) -> Outcome {
    let mut object = initialised(
        &["echo sidecar > /v/f; exec sleep 1000"],
        "until test -e /v/f; do sleep 0.1; done; cat /v/f",
    );
    object["spec"]["initContainers"][0]["restartPolicy"] = "Always".into();
    equal("the log", at.printed_by(&object).await?, "sidecar\n")?;
    equal(
        "the phase",
        at.read("pods/a").await?["status"]["phase"].clone(),
        "Succeeded",
    )
}

async fn a_pod_has_addresses_and_conditions(at: Place) -> Outcome {
    at.create("pods", &pod("a", IDLE)).await?;
    let pod = at.until_ready("a").await?;
    for kind in [
        "PodScheduled",
        "PodReadyToStartContainers",
        "Initialized",
        "ContainersReady",
        "Ready",
    ] {
        equal(kind, condition(&pod, kind), "True")?;
    }
    for pointer in [
        "/status/podIP",
        "/status/podIPs/0/ip",
        "/status/hostIP",
        "/status/hostIPs/0/ip",
        "/status/startTime",
    ] {
        holds(
            pointer,
            !text(&pod, pointer).is_empty(),
            "a value",
            &pod["status"],
        )?;
    }
    includes(
        status(&pod),
        &json!({"ready": true, "started": true, "restartCount": 0}),
    )?;
    let id = text(status(&pod), "/containerID");
    holds(
        "the identifier",
        id.contains("://"),
        "a runtime and a number",
        &id,
    )
}

async fn a_container_is_ready_when_its_probe_is(at: Place) -> Outcome {
    let readiness = json!({"readinessProbe": probe("test -e /tmp/ready")});
    at.create(
        "pods",
        &pod_with("a", &format!("sleep 1; touch /tmp/ready; {IDLE}"), &readiness),
    )
    .await?;
    let running = at.until("pods/a", |pod| status(pod)["started"] == true).await?;
    equal("readiness at first", status(&running)["ready"].clone(), false)?;
    at.until_ready("a").await.map(drop)
}

async fn a_container_is_unready_when_its_probe_fails(at: Place) -> Outcome {
    let mut readiness = probe("test -e /tmp/end && exit 1; touch /tmp/probed");
    readiness["failureThreshold"] = 1.into();
    let script = format!("until test -e /tmp/probed; do sleep 0.1; done; sleep 3; touch /tmp/end; {IDLE}");
    at.create(
        "pods",
        &pod_with("a", &script, &json!({"readinessProbe": readiness})),
    )
    .await?;
    at.until_ready("a").await?;
    let pod = at
        .until("pods/a", |pod| condition(pod, "Ready") == "False")
        .await?;
    equal("the restarts", status(&pod)["restartCount"].clone(), 0)?;
    equal("the phase", pod["status"]["phase"].clone(), "Running")
}

async fn a_container_that_is_dead_is_started_again(at: Place) -> Outcome {
    let liveness = over(
        json!({"livenessProbe": probe("false")}),
        &json!({"livenessProbe": {"failureThreshold": 1}}),
    );
    let object = over(
        pod_with("a", IDLE, &liveness),
        &json!({"spec": {"restartPolicy": "Always"}}),
    );
    at.create("pods", &object).await?;
    at.until("pods/a", |pod| status(pod)["restartCount"].as_u64() >= Some(1))
        .await?;
    let events = at
        .until("events?fieldSelector=reason%3DUnhealthy", |events| {
            !items(events).is_empty()
        })
        .await?;
    contains(
        "the event",
        text(&events["items"][0], "/message"),
        "Liveness probe failed",
    )
}

async fn a_slow_start_is_no_death(at: Place) -> Outcome {
    let probes = over(
        json!({"livenessProbe": probe("test -e /tmp/up"), "startupProbe": probe("test -e /tmp/up")}),
        &json!({"livenessProbe": {"failureThreshold": 1}, "startupProbe": {"failureThreshold": 60}}),
    );
    at.create(
        "pods",
        &pod_with("a", &format!("sleep 3; touch /tmp/up; {IDLE}"), &probes),
    )
    .await?;
    let running = at
        .until("pods/a", |pod| status(pod)["state"]["running"].is_object())
        .await?;
    equal(
        "whether it has started",
        status(&running)["started"].clone(),
        false,
    )?;
    let pod = at.until_ready("a").await?;
    includes(status(&pod), &json!({"started": true, "restartCount": 0}))
}

async fn a_readiness_gate_holds_readiness(at: Place) -> Outcome {
    let gate = json!({"spec": {"readinessGates": [{"conditionType": "x.example/gate"}]}});
    at.create("pods", &over(pod("a", IDLE), &gate)).await?;
    let held = at
        .until("pods/a", |pod| condition(pod, "ContainersReady") == "True")
        .await?;
    equal("readiness", condition(&held, "Ready"), "False")?;
    let open = json!({"status": {"conditions": [{"type": "x.example/gate", "status": "True"}]}});
    at.patch("pods/a/status", crate::place::Patch::Strategic, &open)
        .await?
        .has_code(200)?;
    at.until_ready("a").await.map(drop)
}

async fn a_hook_runs_before_the_end(at: Place) -> Outcome {
    let hook = json!({"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "touch /tmp/stop"]}}}});
    let script =
        "trap '' TERM; until test -e /tmp/stop; do sleep 0.1; done; printf stopped > /dev/termination-log";
    let object = over(
        pod_with("a", script, &hook),
        &json!({
            "spec": {"terminationGracePeriodSeconds": 30}, "metadata": {"finalizers": ["x.example/look"]},
        }),
    );
    at.create("pods", &object).await?;
    at.until_ready("a").await?;
    at.delete("pods/a").await?.has_code(200)?;
    let over = at
        .until("pods/a", |pod| status(pod)["state"]["terminated"].is_object())
        .await?;
    at.merge("pods/a", &json!({"metadata": {"finalizers": null}}))
        .await?;
    includes(
        &status(&over)["state"]["terminated"],
        &json!({"exitCode": 0, "message": "stopped"}),
    )
}

async fn a_hook_runs_after_the_start(at: Place) -> Outcome {
    let hook = json!({"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "touch /tmp/hooked"]}}}});
    let script = "until test -e /tmp/hooked; do sleep 0.1; done; echo hooked";
    equal(
        "the log",
        at.printed_by(&pod_with("a", script, &hook)).await?,
        "hooked\n",
    )
}

async fn an_image_that_is_missing_is_told(at: Place) -> Outcome {
    let missing = pod_with("a", IDLE, &json!({"image": "registry.invalid/none:1"}));
    at.create("pods", &missing).await?;
    let fails = |pod: &Value| {
        matches!(
            text(status(pod), "/state/waiting/reason"),
            "ErrImagePull" | "ImagePullBackOff"
        )
    };
    let pod = at.until("pods/a", fails).await?;
    equal("the phase", pod["status"]["phase"].clone(), "Pending")
}

async fn a_config_map_that_is_missing_is_told(at: Place) -> Outcome {
    let variable =
        json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "a"}}}]});
    at.create("pods", &pod_with("a", IDLE, &variable)).await?;
    let waits = |pod: &Value| status(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError";
    let pod = at.until("pods/a", waits).await?;
    contains(
        "the message",
        text(status(&pod), "/state/waiting/message"),
        "configmap \"none\" not found",
    )
}

async fn a_pod_that_fits_nowhere_is_pending(at: Place) -> Outcome {
    let large = pod_with("a", IDLE, &json!({"resources": {"requests": {"cpu": "10k"}}}));
    at.create("pods", &large).await?;
    let pod = at
        .until("pods/a", |pod| condition(pod, "PodScheduled") == "False")
        .await?;
    includes(
        &pod["status"]["conditions"],
        &json!([{"type": "PodScheduled", "reason": "Unschedulable"}]),
    )?;
    let message = text(&pod, "/status/conditions/0/message");
    contains("the message", message, "Insufficient cpu")?;
    contains("the message", message, "nodes are available")
}

async fn a_pod_waits_for_its_node_label(at: Place) -> Outcome {
    let choosy = over(
        pod("a", IDLE),
        &json!({"spec": {"nodeSelector": {"x.example/none": "b"}}}),
    );
    at.create("pods", &choosy).await?;
    let pod = at
        .until("pods/a", |pod| condition(pod, "PodScheduled") == "False")
        .await?;
    contains(
        "the message",
        text(&pod, "/status/conditions/0/message"),
        "didn't match Pod's node affinity/selector",
    )
}

async fn a_container_that_cannot_run_is_told(at: Place) -> Outcome {
    let nothing = pod_with("a", "", &json!({"command": ["/none", "", ""]}));
    at.create("pods", &nothing).await?;
    let failed = at
        .until("pods/a", |pod| pod["status"]["phase"] == "Failed")
        .await?;
    includes(
        &status(&failed)["state"]["terminated"],
        &json!({"exitCode": 128, "reason": "StartError"}),
    )
}

async fn events_tell_what_happened(at: Place) -> Outcome {
    ended(&at, &pod("a", "true")).await?;
    for reason in ["Scheduled", "Pulled", "Created", "Started"] {
        let query = format!("events?fieldSelector=involvedObject.name%3Da,reason%3D{reason}");
        at.until(&query, |events| {
            items(events).iter().any(|event| event["type"] == "Normal")
        })
        .await?;
    }
    Ok(())
}
