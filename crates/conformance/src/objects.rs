//! The objects that behaviours are tried with.

use serde_json::{Value, json};

/// The image of every pod; it has `sh` and `python3`.
const IMAGE: &str = "prefecthq/prefect:3.6.9";

/// A shell command that does nothing until it is ended, and then ends at once.
pub(crate) const IDLE: &str = "trap 'exit 0' TERM; while :; do sleep 0.2; done";

/// A shell command that serves the working directory by HTTP at 8080.
pub(crate) const SERVE: &str = "cd /tmp && exec python3 -m http.server 8080";

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

pub(crate) fn labelled(name: &str, labels: &Value) -> Value {
    over(config_map(name), &json!({"metadata": {"labels": labels}}))
}

/// A container `c` that runs `script`.
pub(crate) fn container(script: &str) -> Value {
    json!({
        "name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
    })
}

/// A pod that runs `script` once, and ends a second after it is told to.
pub(crate) fn pod(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container(script)], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1},
    })
}

/// A pod that no scheduler looks at, so that it stays as it was made.
pub(crate) fn asleep(name: &str) -> Value {
    over(pod(name, IDLE), &json!({"spec": {"schedulerName": "nobody"}}))
}

/// A Deployment whose pods run `script`.
pub(crate) fn deployment(name: &str, replicas: u32, script: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name, script)},
    })
}

/// A StatefulSet whose pods run `script`.
pub(crate) fn stateful_set(name: &str, replicas: u32, script: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
            "template": template(name, script),
        },
    })
}

/// A Job whose pods run `script` and are not started again.
pub(crate) fn job(name: &str, script: &str) -> Value {
    let mut template = template(name, script);
    template["spec"]["restartPolicy"] = "Never".into();
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": template},
    })
}

fn template(app: &str, script: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [container(script)], "terminationGracePeriodSeconds": 1},
    })
}

/// A Service at port 80 in front of port 8080 of the pods of an app.
pub(crate) fn service(app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": app},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]},
    })
}

pub(crate) fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}},
    })
}

/// A probe that runs a shell command every second.
pub(crate) fn probe(script: &str) -> Value {
    json!({"exec": {"command": ["sh", "-c", script]}, "periodSeconds": 1, "timeoutSeconds": 10})
}

/// `below` with the fields of `above`; lists are merged item by item.
pub(crate) fn over(mut below: Value, above: &Value) -> Value {
    lay_over(&mut below, above);
    below
}

fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(below), Value::Array(above)) => {
            for (index, value) in above.iter().enumerate() {
                match below.get_mut(index) {
                    Some(item) => lay_over(item, value),
                    None => below.push(value.clone()),
                }
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// A pod with the fields of `container` over those of its only container.
pub(crate) fn pod_with(name: &str, script: &str, container: &Value) -> Value {
    over(pod(name, script), &json!({"spec": {"containers": [container]}}))
}
