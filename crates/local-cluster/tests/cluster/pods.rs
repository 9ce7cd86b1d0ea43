//! Containers and pods: how they start, fail, are tried again and end.

use serde_json::{Value, json};

use crate::suite::{Failure, Place, Suite, condition_of, expect, expect_eq, pod, state};

const FOREVER: &str = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

pub(crate) fn made_at_once(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("at-once")?;
    let template = pod("web", FOREVER, &json!({}), &json!({}));
    place.apply(&[json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 8, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": template["spec"]},
        },
    })])?;
    place.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?;
    let restarts = "jsonpath={.items[*].status.containerStatuses[0].restartCount}";
    expect_eq(
        place.kubectl(&["get", "pods", "-o", restarts])?.as_str(),
        "0 0 0 0 0 0 0 0",
    )
}

/// What each pod waits for, and the message that says so.
pub(crate) fn what_cannot_start(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("cannot-start")?;
    let variable = |source: Value| json!({"env": [{"name": "A", "valueFrom": source}]});
    let cases = [
        (
            "root",
            json!({"securityContext": {"runAsNonRoot": true}}),
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
        ),
        (
            "secret",
            variable(json!({"secretKeyRef": {"name": "none", "key": "k"}})),
            "CreateContainerConfigError",
            "secret \"none\" not found",
        ),
        (
            "key",
            variable(json!({"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "k"}})),
            "CreateContainerConfigError",
            "couldn't find key k in ConfigMap cannot-start/kube-root-ca.crt",
        ),
        (
            "unknown",
            json!({"image": "nginx:1"}),
            "ImagePullBackOff",
            "known are prefecthq/prefect",
        ),
        (
            "never",
            json!({"image": "prefecthq/prefect:3.0.0-python3.12", "imagePullPolicy": "Never"}),
            "ErrImageNeverPull",
            "is not present with pull policy of Never",
        ),
        (
            "privileged",
            json!({"securityContext": {"privileged": true}}),
            "CreateContainerConfigError",
            "privileged containers are not run",
        ),
    ];
    for (name, container, _, _) in &cases {
        place.apply(&[pod(name, FOREVER, container, &json!({}))])?;
    }
    for (name, _, reason, message) in &cases {
        let found = place.until(name, |pod| state(pod)["waiting"]["reason"] == *reason)?;
        let told = state(&found)["waiting"]["message"].as_str().unwrap_or_default();
        expect(told.contains(message), || format!("{name}: {told}"))?;
    }
    let volumes = [
        (
            "volume",
            json!({"configMap": {"name": "none"}}),
            "configmap \"none\" not found",
        ),
        (
            "items",
            json!({"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "k", "path": "p"}]}}),
            "references non-existent config key: k",
        ),
        (
            "host",
            json!({"hostPath": {"path": "/"}}),
            "volumes of type hostPath are not served",
        ),
    ];
    for (name, mut volume, message) in volumes {
        volume["name"] = "v".into();
        place.apply(&[pod(name, FOREVER, &json!({}), &json!({"volumes": [volume]}))])?;
        place.eventually(|| {
            let selector = format!("--field-selector=involvedObject.name={name},reason=FailedMount");
            let events = place
                .kubectl(&["get", "events", &selector, "-o", "jsonpath={.items[*].message}"])
                .ok()?;
            events.contains(message).then_some(())
        })?;
    }
    Ok(())
}

pub(crate) fn what_fails(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("fails")?;
    let cases = [
        (
            "program",
            json!({"command": ["nonesuch"]}),
            "StartError",
            128,
            "executable file not found in $PATH",
        ),
        (
            "directory",
            json!({"workingDir": "/etc/passwd"}),
            "StartError",
            128,
            "working directory /etc/passwd",
        ),
        (
            "message",
            json!({"command": ["sh", "-c", "echo why > /dev/termination-log; exit 3"]}),
            "Error",
            3,
            "why",
        ),
        (
            "log",
            json!({"command": ["sh", "-c", "echo because; exit 4"],
         "terminationMessagePolicy": "FallbackToLogsOnError"}),
            "Error",
            4,
            "because",
        ),
        ("well", json!({"command": ["true"]}), "Completed", 0, ""),
    ];
    for (name, container, _, _, _) in &cases {
        place.apply(&[pod(name, "", container, &json!({"restartPolicy": "Never"}))])?;
    }
    for (name, _, reason, code, message) in cases {
        let ended = place.until_ended(name)?;
        let terminated = &state(&ended)["terminated"];
        let told = terminated["message"].as_str().unwrap_or_default();
        let same = terminated["reason"] == reason && terminated["exitCode"] == code && told.contains(message);
        expect(same, || format!("{name}: {terminated}"))?;
    }
    Ok(())
}

pub(crate) fn restarts(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("restarts")?;
    place.apply(&[pod("p", "echo run; exit 1", &json!({}), &json!({}))])?;
    let found = place.until("p", |pod| {
        state(pod)["waiting"]["reason"] == "CrashLoopBackOff"
            && pod["status"]["containerStatuses"][0]["restartCount"] == 1
    })?;
    let message = state(&found)["waiting"]["message"].as_str().unwrap_or_default();
    expect(
        message.starts_with("back-off 1s restarting failed container=c pod=p_restarts("),
        || message.into(),
    )?;
    expect_eq(place.kubectl(&["logs", "p", "--previous"])?.as_str(), "run\n")
}

pub(crate) fn liveness(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("liveness")?;
    let probe = json!({"livenessProbe": {
        "exec": {"command": ["sh", "-c", "echo sick; exit 1"]}, "periodSeconds": 1, "failureThreshold": 1,
    }});
    place.apply(&[pod("p", FOREVER, &probe, &json!({}))])?;
    place.until("p", |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"].as_i64() > Some(0)
    })?;
    let events = place.kubectl(&["get", "events", "-o", "jsonpath={.items[*].message}"])?;
    for expected in [
        "Liveness probe failed: sick",
        "Container c failed liveness probe, will be restarted",
    ] {
        expect(events.contains(expected), || events.clone())?;
    }
    Ok(())
}

pub(crate) fn readiness(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("readiness")?;
    let probes = json!({
        "startupProbe": {"exec": {"command": ["test", "-e", "/tmp/started"]}, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1},
    });
    place.apply(&[pod("p", FOREVER, &probes, &json!({}))])?;
    let found = place.until("p", |pod| state(pod)["running"].is_object())?;
    expect_eq(condition_of(&found, "Ready").as_str(), "False")?;
    place.kubectl(&["exec", "p", "--", "touch", "/tmp/started"])?;
    let found = place.until("p", |pod| {
        pod["status"]["containerStatuses"][0]["started"] == true
    })?;
    expect_eq(condition_of(&found, "Ready").as_str(), "False")?;
    place.kubectl(&["exec", "p", "--", "touch", "/tmp/ready"])?;
    place.until_ready("p")?;
    place.kubectl(&["exec", "p", "--", "rm", "/tmp/ready"])?;
    place.until("p", |pod| condition_of(pod, "Ready") == "False")?;
    Ok(())
}

pub(crate) fn init_and_sidecars(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("sidecars")?;
    let mount = json!([{"name": "v", "mountPath": "/v"}]);
    let container = |name: &str, script: &str| json!({"name": name, "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": mount});
    let mut sidecar = container(
        "side",
        "echo side >> /v/order; trap 'echo end; exit 0' TERM; while true; do sleep 0.1; done",
    );
    sidecar["restartPolicy"] = "Always".into();
    let more = json!({
        "restartPolicy": "Never",
        "initContainers": [container("first", "echo first >> /v/order"), sidecar],
        "volumes": [{"name": "v", "emptyDir": {}}],
    });
    let main = "until grep -q side /v/order; do sleep 0.1; done; echo main >> /v/order; cat /v/order";
    place.apply(&[pod("p", main, &json!({"volumeMounts": mount}), &more)])?;
    let ended = place.until_ended("p")?;
    expect_eq(ended["status"]["phase"].as_str(), Some("Succeeded"))?;
    expect_eq(
        place.kubectl(&["logs", "p", "-c", "c"])?.as_str(),
        "first\nside\nmain\n",
    )?;
    expect_eq(place.kubectl(&["logs", "p", "-c", "side"])?.as_str(), "end\n")?;
    let fails = json!({"restartPolicy": "Never", "initContainers": [container("init", "exit 5")]});
    let mut failing = pod("q", "echo never", &json!({}), &fails);
    failing["spec"]["volumes"] = more["volumes"].clone();
    place.apply(&[failing])?;
    let ended = place.until_ended("q")?;
    expect_eq(
        state(&ended)["waiting"]["reason"].as_str(),
        Some("PodInitializing"),
    )
}

pub(crate) fn ends_in_order(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("in-order")?;
    let hook =
        json!({"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /tmp/hook"]}}}});
    let script =
        "trap 'cat /tmp/hook; echo end; sleep 0.3; exit 0' TERM; echo begun; while true; do sleep 0.1; done";
    place.apply(&[pod(
        "p",
        script,
        &hook,
        &json!({"terminationGracePeriodSeconds": 30}),
    )])?;
    place.until_ready("p")?;
    let follow = place
        .command(&["logs", "-f", "p"])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    place.kubectl(&["delete", "pod", "p"])?;
    let log = String::from_utf8(follow.wait_with_output()?.stdout)?;
    expect_eq(log.as_str(), "begun\nhook\nend\n")
}

pub(crate) fn ends_during_a_probe(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("ends-during-a-probe")?;
    let probe = json!({"readinessProbe": {
        "exec": {"command": ["sh", "-c", "touch /tmp/asked; sleep 1000; :"]}, "timeoutSeconds": 1000, "periodSeconds": 1,
    }});
    place.apply(&[pod(
        "p",
        "trap exit TERM; while :; do sleep 0.1; done",
        &probe,
        &json!({}),
    )])?;
    place.eventually(|| place.kubectl(&["exec", "p", "--", "ls", "/tmp/asked"]).ok())?;
    // its command is not waited for, and a process of it that nobody collects would keep the pod
    place.kubectl(&["delete", "pod", "p", "--timeout=20s"])?;
    Ok(())
}

pub(crate) fn ends_by_force(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("by-force")?;
    let deaf = "trap '' TERM; while true; do sleep 0.1; done";
    place.apply(&[pod(
        "p",
        deaf,
        &json!({}),
        &json!({"terminationGracePeriodSeconds": 3600}),
    )])?;
    place.until_ready("p")?;
    place.kubectl(&["delete", "pod", "p", "--wait=false"])?;
    place.until("p", |pod| pod["metadata"]["deletionTimestamp"].is_string())?;
    // who waits no longer shortens the time
    place.kubectl(&["delete", "pod", "p", "--grace-period=1"])?;
    expect(!place.try_kubectl(&["get", "pod", "p"])?.status.success(), || {
        "the pod is there still".into()
    })
}

pub(crate) fn unknown_account(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("account")?;
    let overrides = r#"--overrides={"spec":{"serviceAccountName":"sa"}}"#;
    let refused = place.try_kubectl(&["run", "p", "--image=busybox", overrides])?;
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expected = r#"pods "p" is forbidden: error looking up service account account/sa: serviceaccount "sa" not found"#;
    expect(!refused.status.success() && message.contains(expected), || {
        message.clone()
    })
}

pub(crate) fn identities(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("identities")?;
    let security = json!({"securityContext": {
        "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
    }, "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let script = "id -u; touch /x 2>/dev/null || echo closed; touch /v/x && echo open; \
                  grep -E 'CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t'";
    let mut two = pod(
        "p",
        script,
        &security,
        &json!({
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 1001, "runAsGroup": 1001, "fsGroup": 1001},
            "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}],
        }),
    );
    let mut other = two["spec"]["containers"][0].clone();
    other["name"] = "other".into();
    other["command"] = json!(["id", "-u"]);
    other["securityContext"] = json!({"runAsUser": 70});
    two["spec"]["containers"]
        .as_array_mut()
        .into_iter()
        .for_each(|list| list.push(other.clone()));
    place.apply(&[two])?;
    place.until_ended("p")?;
    let expected = "1001\nclosed\nopen\nCapEff:0000000000000000\nNoNewPrivs:1\n";
    expect_eq(place.kubectl(&["logs", "p", "-c", "c"])?.as_str(), expected)?;
    expect_eq(place.kubectl(&["logs", "p", "-c", "other"])?.as_str(), "70\n")
}

/// A pod that serves its name over HTTP at port 8080.
pub(crate) fn web(place: &Place<'_>, name: &str) -> Result<(), Failure> {
    let script = "cd /tmp && hostname > index.html && exec python3 -m http.server 8080";
    let container = json!({
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    });
    place.apply(&[
        pod(name, script, &container, &json!({})),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
        }),
    ])?;
    place.until_ready(name).map(drop)
}
