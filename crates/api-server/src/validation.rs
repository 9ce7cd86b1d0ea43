//! The rules that make an object invalid although its types are right.
//!
//! Source: `pkg/apis/*/validation` of Kubernetes 1.34, as far as application charts meet them.

use serde_json::Value;

use crate::{registry::Kind, status::Cause};

mod metadata;
mod network;
mod pod;
mod storage;
mod update;
mod workload;

pub(crate) use metadata::is_label_value;

/// Why `object` is not acceptable; `live` is what it was before an update.
pub(crate) fn check(kind: &Kind, object: &Value, live: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    metadata::check(kind, object, &mut causes);
    let spec = &object["spec"];
    match kind.kind {
        "Pod" => pod::spec(spec, "spec", &mut causes),
        "Deployment" | "ReplicaSet" | "DaemonSet" => {
            workload::check(spec, &mut causes);
            if kind.is("Deployment") {
                workload::deployment(spec, &mut causes);
            }
            pod::spec(&spec["template"]["spec"], "spec.template.spec", &mut causes);
        }
        // as upstream: mounts of claims that are yet to be made cannot be checked, so no pod is
        "StatefulSet" => workload::check(spec, &mut causes),
        "Job" => workload::job(spec, "spec", &mut causes),
        "CronJob" => workload::cron_job(spec, &mut causes),
        "PodDisruptionBudget" => workload::disruption_budget(spec, &mut causes),
        "HorizontalPodAutoscaler" => workload::autoscaler(spec, &mut causes),
        "Service" => network::service(spec, &mut causes),
        "Ingress" => network::ingress(spec, &mut causes),
        "PersistentVolumeClaim" => storage::claim(spec, &mut causes),
        "ConfigMap" => storage::config_map(object, &mut causes),
        "Secret" => storage::secret(object, &mut causes),
        _ => {}
    }
    if let Some(live) = live {
        update::check(kind, object, live, &mut causes);
    }
    causes
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
    value[field].as_array().into_iter().flatten().enumerate()
}

/// The value is one of those allowed, or there is none.
fn one_of(value: &Value, field: String, allowed: &[&str], causes: &mut Vec<Cause>) {
    if !value.is_null() && !allowed.iter().any(|one| value == one) {
        causes.push(Cause::unsupported(field, value, allowed));
    }
}

fn port(port: &Value, field: String, causes: &mut Vec<Cause>) {
    match port.as_i64() {
        None => causes.push(Cause::required(field, "")),
        Some(1..=65535) => {}
        Some(_) => causes.push(Cause::invalid(
            field,
            port,
            "must be between 1 and 65535, inclusive",
        )),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::registry::named;

    fn deployment() -> Value {
        let mut object = json!({"metadata": {"name": "web"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "containers": [{"name": "c", "image": "x"}],
            }},
        }});
        crate::defaults::apply(named("Deployment"), &mut object);
        object
    }

    fn messages(object: &Value, live: Option<&Value>) -> Vec<String> {
        let causes = check(named("Deployment"), object, live);
        causes
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn a_plain_deployment_is_valid() {
        assert_eq!(messages(&deployment(), None), Vec::<String>::new());
    }

    #[rstest]
    #[case("/metadata/name", json!("Web"), "metadata.name: Invalid value")]
    #[case("/spec/template/metadata/labels", json!({"app": "x"}), "`selector` does not match template `labels`")]
    #[case("/spec/template/spec/containers", json!([]), "spec.template.spec.containers: Required value")]
    #[case("/spec/template/spec/containers/0/image", json!(""), "containers[0].image: Required value")]
    #[case("/spec/template/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/"}]),
        r#"containers[0].volumeMounts[0].name: Not found: "v""#)]
    #[case("/spec/template/spec/containers/0/ports", json!([{"containerPort": 0}]), "must be between 1 and 65535")]
    #[case("/spec/template/spec/containers/0/resources",
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}}), "must be less than or equal to cpu limit of 1")]
    #[case("/spec/template/spec/containers/0/livenessProbe", json!({}), "must specify a handler type")]
    #[case("/spec/template/spec/restartPolicy", json!("Never"), r#"supported values: "Always""#)]
    fn each_rule_is_seen_to_refuse(#[case] pointer: &str, #[case] value: Value, #[case] expected: &str) {
        let mut object = deployment();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
            other => other[field] = value,
        }
        let messages = messages(&object, None);
        assert!(
            messages.iter().any(|message| message.contains(expected)),
            "{messages:?}"
        );
    }

    #[test]
    fn a_selector_does_not_change() {
        let mut object = deployment();
        object["spec"]["selector"]["matchLabels"] = json!({});
        let messages = messages(&object, Some(&deployment()));
        assert!(
            messages
                .iter()
                .any(|message| message.contains("field is immutable")),
            "{messages:?}"
        );
    }
}
