//! Volumes: their files, parts and what keeps them.

use serde_json::{Value, json};

use crate::suite::{Failure, Suite, expect_eq, pod};

const FOREVER: &str = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

fn config_map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"k": value}})
}

pub(crate) fn files_change(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("files")?;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"pw": "one"}});
    let mounts = json!({"volumeMounts": [
        {"name": "all", "mountPath": "/all"}, {"name": "all", "mountPath": "/k", "subPath": "cm/k"},
    ]});
    let volumes = json!({"volumes": [{"name": "all", "projected": {"sources": [
        {"configMap": {"name": "cm", "items": [{"key": "k", "path": "cm/k"}]}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]}}]});
    place.apply(&[config_map("one"), secret, pod("p", FOREVER, &mounts, &volumes)])?;
    place.until_ready("p")?;
    let read = |file: &str| place.kubectl(&["exec", "p", "--", "cat", file]);
    expect_eq(
        (read("/all/cm/k")?, read("/all/pw")?),
        ("one".into(), "one".into()),
    )?;
    expect_eq(read("/all/labels")?.as_str(), "app=\"p\"")?;
    place.apply(&[config_map("two")])?;
    place.eventually(|| (read("/all/cm/k").ok()? == "two").then_some(()))?;
    // a part of a volume stays as it was, as in Kubernetes
    expect_eq(read("/k")?.as_str(), "one")?;
    place.kubectl(&["label", "pod", "p", "new=label"])?;
    place.eventually(|| read("/all/labels").ok()?.contains("new=\"label\"").then_some(()))
}

pub(crate) fn parts(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("parts")?;
    let container = json!({
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumeMounts": [
            {"name": "v", "mountPath": "/own", "subPathExpr": "logs/$(POD)"}, {"name": "v", "mountPath": "/whole"},
        ],
        "resources": {"limits": {"memory": "64Mi"}},
    });
    let script = "echo x > /own/file; cat /whole/logs/p/file";
    let more = json!({"restartPolicy": "Never", "volumes": [{"name": "v", "emptyDir": {}}]});
    place.apply(&[pod("p", script, &container, &more)])?;
    place.until_ended("p")?;
    expect_eq(place.kubectl(&["logs", "p"])?.as_str(), "x\n")
}

pub(crate) fn claim(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("claim")?;
    place.apply(&[json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })])?;
    let mounts =
        json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}], "securityContext": {"runAsUser": 1001}});
    let more = json!({"restartPolicy": "Never", "volumes": [
        {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
    ]});
    place.apply(&[pod("writer", "echo kept > /v/file", &mounts, &more)])?;
    place.until_ended("writer")?;
    place.kubectl(&["delete", "pod", "writer"])?;
    place.apply(&[pod("reader", "cat /v/file", &mounts, &more)])?;
    place.until_ended("reader")?;
    expect_eq(place.kubectl(&["logs", "reader"])?.as_str(), "kept\n")
}

pub(crate) fn token(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("token")?;
    let script = r#"cd /var/run/secrets/kubernetes.io/serviceaccount && python3 - <<'E'
import json, ssl, urllib.request as web
context = ssl.create_default_context(cafile="ca.crt")
url = "https://kubernetes.default.svc/api/v1/namespaces/%s/pods" % open("namespace").read()
request = web.Request(url, headers={"Authorization": "Bearer " + open("token").read()})
print(json.load(web.urlopen(request, context=context))["items"][0]["metadata"]["name"])
E"#;
    place.apply(&[pod("p", script, &json!({}), &json!({"restartPolicy": "Never"}))])?;
    place.until_ended("p")?;
    expect_eq(place.kubectl(&["logs", "p"])?.as_str(), "p\n")
}
