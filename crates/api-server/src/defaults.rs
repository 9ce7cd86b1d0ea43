//! The values that Kubernetes fills in.
//!
//! Source: `pkg/apis/*/v1/defaults.go` of Kubernetes 1.34.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    meta::{self, child, default_to},
    registry::Kind,
};

/// Fills in what `object` leaves out.
pub(crate) fn apply(kind: &Kind, object: &mut Value) {
    match kind.kind {
        "Namespace" => namespace(object),
        "Pod" => pod(object),
        "Deployment" => deployment(child(object, "spec")),
        "ReplicaSet" => {
            let spec = child(object, "spec");
            default_to(spec, "replicas", 1);
            template(spec);
        }
        "StatefulSet" => stateful_set(child(object, "spec")),
        "DaemonSet" => daemon_set(child(object, "spec")),
        "Job" => job(object),
        "CronJob" => cron_job(child(object, "spec")),
        "Service" => service(child(object, "spec")),
        "PersistentVolumeClaim" => claim(object),
        "PersistentVolume" => {
            phase(object, "Pending");
            let spec = child(object, "spec");
            default_to(spec, "volumeMode", "Filesystem");
            default_to(spec, "persistentVolumeReclaimPolicy", "Retain");
        }
        "Secret" => secret(object),
        "StorageClass" => {
            let Some(class) = object.as_object_mut() else { return };
            default_to(class, "reclaimPolicy", "Delete");
            default_to(class, "volumeBindingMode", "Immediate");
        }
        "HorizontalPodAutoscaler" => default_to(child(object, "spec"), "minReplicas", 1),
        _ => {}
    }
}

fn phase(object: &mut Value, phase: &str) {
    default_to(child(object, "status"), "phase", phase);
}

fn namespace(object: &mut Value) {
    let name = meta::name(object).to_owned();
    let metadata = meta::metadata(object);
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    labels["kubernetes.io/metadata.name"] = name.into();
    if !meta::is_deleting(object) {
        default_to(child(object, "spec"), "finalizers", json!(["kubernetes"]));
        phase(object, "Active");
    }
}

fn pod(object: &mut Value) {
    phase(object, "Pending");
    pod_spec(child(object, "spec"));
    let class = quality_of_service(&object["spec"]);
    default_to(child(object, "status"), "qosClass", class);
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from the requests and limits of the containers.
fn quality_of_service(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"];
    let containers: Vec<&Value> =
        lists.iter().flat_map(|field| spec[*field].as_array().into_iter().flatten()).collect();
    let amounts =
        |container: &Value, list: &str| ["cpu", "memory"].map(|name| container["resources"][list][name].clone());
    let has_none = |container: &&Value| {
        ["requests", "limits"].iter().all(|list| amounts(container, list).iter().all(Value::is_null))
    };
    if containers.iter().all(has_none) {
        return "BestEffort";
    }
    let is_guaranteed = |container: &&Value| {
        let (limits, requests) = (amounts(container, "limits"), amounts(container, "requests"));
        limits.iter().zip(&requests).all(|(limit, request)| !limit.is_null() && request == limit)
    };
    if containers.iter().all(is_guaranteed) { "Guaranteed" } else { "Burstable" }
}

fn template(spec: &mut Map<String, Value>) {
    if let Some(template) = spec.get_mut("template") {
        pod_spec(child(template, "spec"));
    }
}

/// The maps in the list `field`.
fn maps_of<'a>(owner: &'a mut Map<String, Value>, field: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = owner.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn pod_spec(spec: &mut Map<String, Value>) {
    default_to(spec, "restartPolicy", "Always");
    default_to(spec, "terminationGracePeriodSeconds", 30);
    default_to(spec, "dnsPolicy", "ClusterFirst");
    default_to(spec, "securityContext", json!({}));
    default_to(spec, "schedulerName", "default-scheduler");
    // the old name of the field still mirrors the new one
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        default_to(spec, "serviceAccount", account);
    }
    for field in ["initContainers", "containers"] {
        maps_of(spec, field).for_each(container);
    }
    maps_of(spec, "volumes").for_each(volume);
}

fn container(container: &mut Map<String, Value>) {
    default_to(container, "resources", json!({}));
    default_to(container, "terminationMessagePath", "/dev/termination-log");
    default_to(container, "terminationMessagePolicy", "File");
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = pull_policy(image);
    default_to(container, "imagePullPolicy", policy);
    for port in maps_of(container, "ports") {
        default_to(port, "protocol", "TCP");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).and_then(Value::as_object_mut) {
            self::probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        let lifecycle = container.get_mut("lifecycle");
        if let Some(get) = lifecycle.and_then(|all| all.get_mut(hook)?.get_mut("httpGet")) {
            http_get(get);
        }
    }
    requests_from_limits(container);
    for variable in maps_of(container, "env") {
        let source = variable.get_mut("valueFrom").and_then(|source| source.get_mut("fieldRef"));
        if let Some(field) = source.and_then(Value::as_object_mut) {
            default_to(field, "apiVersion", "v1");
        }
    }
}

fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let is_latest = !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"));
    if is_latest { "Always" } else { "IfNotPresent" }
}

/// What has a limit but no request requests its limit.
fn requests_from_limits(container: &mut Map<String, Value>) {
    let resources = &mut container["resources"];
    let limits = resources["limits"].as_object().cloned().unwrap_or_default();
    if !limits.is_empty() {
        let requests = child(resources, "requests");
        for (resource, limit) in limits {
            default_to(requests, &resource, limit);
        }
    }
}

fn probe(probe: &mut Map<String, Value>) {
    default_to(probe, "timeoutSeconds", 1);
    default_to(probe, "periodSeconds", 10);
    default_to(probe, "successThreshold", 1);
    default_to(probe, "failureThreshold", 3);
    if let Some(get) = probe.get_mut("httpGet") {
        http_get(get);
    }
}

fn http_get(get: &mut Value) {
    if let Some(get) = get.as_object_mut() {
        default_to(get, "path", "/");
        default_to(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Map<String, Value>) {
    const FILE_MODE: i64 = 0o644;
    for source in ["secret", "configMap", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
            default_to(source, "defaultMode", FILE_MODE);
        }
    }
}

fn deployment(spec: &mut Map<String, Value>) {
    default_to(spec, "replicas", 1);
    default_to(spec, "revisionHistoryLimit", 10);
    default_to(spec, "progressDeadlineSeconds", 600);
    default_to(spec, "strategy", json!({}));
    if let Some(strategy) = spec.get_mut("strategy").and_then(Value::as_object_mut) {
        default_to(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            default_to(strategy, "rollingUpdate", json!({}));
            if let Some(rolling) = strategy.get_mut("rollingUpdate").and_then(Value::as_object_mut) {
                default_to(rolling, "maxUnavailable", "25%");
                default_to(rolling, "maxSurge", "25%");
            }
        }
    }
    template(spec);
}

fn stateful_set(spec: &mut Map<String, Value>) {
    default_to(spec, "replicas", 1);
    default_to(spec, "revisionHistoryLimit", 10);
    default_to(spec, "podManagementPolicy", "OrderedReady");
    let retention = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    default_to(spec, "persistentVolumeClaimRetentionPolicy", retention);
    default_to(spec, "updateStrategy", json!({}));
    if let Some(strategy) = spec.get_mut("updateStrategy").and_then(Value::as_object_mut) {
        default_to(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            default_to(strategy, "rollingUpdate", json!({"partition": 0}));
        }
    }
    let claims = spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut);
    for template in claims.into_iter().flatten() {
        template["apiVersion"] = "v1".into();
        template["kind"] = "PersistentVolumeClaim".into();
        claim(template);
    }
    template(spec);
}

fn daemon_set(spec: &mut Map<String, Value>) {
    default_to(spec, "revisionHistoryLimit", 10);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
    default_to(spec, "updateStrategy", strategy);
    template(spec);
}

fn job(object: &mut Value) {
    let uid = meta::text(object, "/metadata/uid").to_owned();
    let name = meta::name(object).to_owned();
    let spec = child(object, "spec");
    if spec.get("parallelism").is_none_or(Value::is_null) {
        default_to(spec, "completions", 1);
    }
    default_to(spec, "parallelism", 1);
    default_to(spec, "backoffLimit", 6);
    default_to(spec, "completionMode", "NonIndexed");
    default_to(spec, "suspend", false);
    default_to(spec, "podReplacementPolicy", "TerminatingOrFailed");
    template(spec);
    if spec.get("manualSelector") == Some(&Value::Bool(true)) || uid.is_empty() {
        return;
    }
    default_to(spec, "selector", json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    if let Some(template) = spec.get_mut("template") {
        let labels = meta::metadata(template).entry("labels").or_insert_with(|| json!({}));
        for prefix in ["batch.kubernetes.io/", ""] {
            labels[format!("{prefix}controller-uid")] = uid.clone().into();
            labels[format!("{prefix}job-name")] = name.clone().into();
        }
    }
}

fn cron_job(spec: &mut Map<String, Value>) {
    default_to(spec, "concurrencyPolicy", "Allow");
    default_to(spec, "suspend", false);
    default_to(spec, "successfulJobsHistoryLimit", 3);
    default_to(spec, "failedJobsHistoryLimit", 1);
}

fn service(spec: &mut Map<String, Value>) {
    default_to(spec, "type", "ClusterIP");
    default_to(spec, "sessionAffinity", "None");
    if spec["type"] == "ExternalName" {
        return;
    }
    default_to(spec, "internalTrafficPolicy", "Cluster");
    default_to(spec, "ipFamilies", json!(["IPv4"]));
    default_to(spec, "ipFamilyPolicy", "SingleStack");
    if spec["type"] != "ClusterIP" {
        default_to(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        default_to(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in maps_of(spec, "ports") {
        default_to(port, "protocol", "TCP");
        let own = port.get("port").cloned().unwrap_or_default();
        default_to(port, "targetPort", own);
    }
}

fn claim(object: &mut Value) {
    phase(object, "Pending");
    default_to(child(object, "spec"), "volumeMode", "Filesystem");
}

fn secret(object: &mut Value) {
    let plain = object.as_object_mut().and_then(|secret| secret.remove("stringData"));
    if let Some(Value::Object(plain)) = plain {
        let data = child(object, "data");
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
    if let Some(secret) = object.as_object_mut() {
        default_to(secret, "type", "Opaque");
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::registry::{KINDS, named};

    #[rstest]
    #[case("busybox", "Always")]
    #[case("busybox:latest", "Always")]
    #[case("registry:5000/busybox", "Always")]
    #[case("busybox:1", "IfNotPresent")]
    #[case("busybox@sha256:00", "IfNotPresent")]
    fn the_pull_policy_follows_the_tag(#[case] image: &str, #[case] policy: &str) {
        let mut pod = json!({"spec": {"containers": [{"name": "c", "image": image}]}});
        apply(named("Pod"), &mut pod);
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy);
    }

    #[rstest]
    #[case(json!({}), "BestEffort")]
    #[case(json!({"requests": {"cpu": "1"}}), "Burstable")]
    #[case(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed")]
    #[case(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable")]
    fn the_quality_of_service_follows_the_resources(#[case] resources: Value, #[case] class: &str) {
        let mut pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        apply(named("Pod"), &mut pod);
        assert_eq!(pod["status"]["qosClass"], class);
    }

    #[test]
    fn defaults_are_stable() {
        for kind in KINDS {
            let spec = json!({"template": {}, "ports": [{"port": 1}]});
            let mut once = json!({"metadata": {"name": "a", "uid": "u"}, "spec": spec});
            apply(kind, &mut once);
            let mut twice = once.clone();
            apply(kind, &mut twice);
            assert_eq!(once, twice, "{}", kind.kind);
        }
    }

    #[test]
    fn plain_secrets_are_encoded() {
        let mut secret = json!({"stringData": {"a": "b"}});
        apply(named("Secret"), &mut secret);
        assert_eq!(secret, json!({"data": {"a": "Yg=="}, "type": "Opaque"}));
    }
}
