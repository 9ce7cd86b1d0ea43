//! Defaults of pods and of pod templates.

use serde_json::{Value, json};

use super::{default, default_empty, each, within};

/// A pod has defaults that a template leaves to the pods made of it.
pub(super) fn pod(object: &mut Value) {
    let spec = &mut object["spec"];
    default(spec, "enableServiceLinks", true);
    for list in ["initContainers", "containers"] {
        each(spec, list, requests_from_limits);
    }
    if spec["hostNetwork"] == true {
        for list in ["initContainers", "containers"] {
            each(spec, list, |container| each(container, "ports", host_port));
        }
    }
    pod_spec(spec);
}

fn requests_from_limits(container: &mut Value) {
    let limits = container["resources"]["limits"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    let resources = &mut container["resources"];
    default(resources, "requests", json!({}));
    for (resource, limit) in limits {
        default(&mut resources["requests"], &resource, limit);
    }
}

fn host_port(port: &mut Value) {
    let number = port["containerPort"].clone();
    default(port, "hostPort", number);
}

/// The `spec` of a pod or template.
pub(super) fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    default(spec, "restartPolicy", "Always");
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "schedulerName", "default-scheduler");
    default(spec, "securityContext", json!({}));
    mirror(spec, "serviceAccountName", "serviceAccount");
    each(spec, "volumes", volume);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list, container);
    }
}

/// The deprecated name of a field always says the same as its new name.
fn mirror(spec: &mut Value, name: &str, deprecated: &str) {
    let value = match (&spec[name], &spec[deprecated]) {
        (Value::String(value), _) if !value.is_empty() => value.clone(),
        (_, Value::String(value)) if !value.is_empty() => value.clone(),
        _ => return,
    };
    spec[name] = value.clone().into();
    spec[deprecated] = value.into();
}

fn volume(volume: &mut Value) {
    if volume
        .as_object()
        .is_some_and(|fields| fields.keys().all(|key| key == "name"))
    {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        within(volume, source, |source| {
            default(source, "defaultMode", 0o644);
            each(source, "items", |item| within(item, "fieldRef", field_ref));
            each(source, "sources", projection);
        });
    }
    within(volume, "hostPath", |path| default(path, "type", ""));
    within(volume, "ephemeral", |ephemeral| {
        within(ephemeral, "volumeClaimTemplate", |template| {
            super::storage::claim_spec(&mut template["spec"])
        });
    });
}

fn projection(source: &mut Value) {
    within(source, "serviceAccountToken", |token| {
        default(token, "expirationSeconds", 3600)
    });
    within(source, "downwardAPI", |downward| {
        each(downward, "items", |item| {
            within(item, "fieldRef", field_ref);
            within(item, "resourceFieldRef", resource_field_ref);
        });
    });
}

fn field_ref(reference: &mut Value) {
    default(reference, "apiVersion", "v1");
}

fn resource_field_ref(reference: &mut Value) {
    default(reference, "divisor", "0");
}

fn container(container: &mut Value) {
    let policy = if pulls_always(container["image"].as_str().unwrap_or_default()) {
        "Always"
    } else {
        "IfNotPresent"
    };
    default(container, "imagePullPolicy", policy);
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    default(container, "resources", json!({}));
    each(container, "ports", |port| default(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        within(variable, "valueFrom", |source| {
            within(source, "fieldRef", field_ref);
            within(source, "resourceFieldRef", resource_field_ref);
        });
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        within(container, name, probe);
    }
    within(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            within(lifecycle, hook, |hook| within(hook, "httpGet", http_get));
        }
    });
}

/// An image without a tag, or tagged `latest`, may change at any time.
fn pulls_always(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Value) {
    default(probe, "timeoutSeconds", 1);
    default(probe, "periodSeconds", 10);
    default(probe, "successThreshold", 1);
    default(probe, "failureThreshold", 3);
    within(probe, "httpGet", http_get);
    within(probe, "grpc", |grpc| default(grpc, "service", ""));
}

fn http_get(action: &mut Value) {
    default_empty(action, "path", "/");
    default_empty(action, "scheme", "HTTP");
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("nginx", true)]
    #[case("nginx:latest", true)]
    #[case("nginx:1.27", false)]
    #[case("localhost:5000/nginx", true)]
    #[case("localhost:5000/nginx:1", false)]
    #[case("nginx@sha256:0", false)]
    fn an_image_that_may_change_is_always_pulled(#[case] image: &str, #[case] always: bool) {
        assert_eq!(pulls_always(image), always);
    }

    #[test]
    fn limits_are_the_requests_of_a_pod_that_names_none() {
        let mut object = json!({"spec": {"containers": [
            {"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}},
        ]}});
        pod(&mut object);
        let requests = &object["spec"]["containers"][0]["resources"]["requests"];
        assert_eq!(*requests, json!({"cpu": "500m", "memory": "1Gi"}));
    }
}
