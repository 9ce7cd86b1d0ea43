//! Objects that are refused, for which reason and because of which field.

use serde_json::{Value, json};

use crate::{
    answer::{DUPLICATE, FORBIDDEN, INVALID, NOT_FOUND, REQUIRED, UNSUPPORTED},
    behaviour::{Behaviour, Outcome},
    objects::{IDLE, claim, deployment, job, over, pod, pod_with, service, stateful_set},
    place::Place,
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    refusals().into_iter().map(Refusal::into_behaviour).collect()
}

/// An object that is invalid because of one field.
#[derive(Clone)]
struct Refusal {
    sentence: &'static str,
    resource: &'static str,
    object: Value,
    field: &'static str,
    reason: &'static str,
}

impl Refusal {
    fn into_behaviour(self) -> Behaviour {
        let sentence = self.sentence;
        Behaviour::new(module_path!(), sentence, move |at| self.clone().observe(at))
    }

    async fn observe(self, at: Place) -> Outcome {
        let answer = at.post(self.resource, &self.object).await?;
        answer.refused(422, "Invalid")?;
        answer.names_cause(self.field, self.reason)
    }
}

fn refusals() -> Vec<Refusal> {
    let row = |(sentence, resource, object, field, reason)| Refusal {
        sentence,
        resource,
        object,
        field,
        reason,
    };
    let of_metadata = metadata_rows().into_iter();
    let of_pods = pod_rows().into_iter().chain(container_rows());
    let of_workloads = workload_rows()
        .into_iter()
        .chain(network_rows())
        .chain(storage_rows());
    of_metadata.chain(of_pods).chain(of_workloads).map(row).collect()
}

type Row = (&'static str, &'static str, Value, &'static str, &'static str);

fn metadata_rows() -> Vec<Row> {
    let metadata = |metadata: Value| json!({"metadata": metadata});
    vec![
        (
            "a_name_is_lowercase",
            "configmaps",
            metadata(json!({"name": "A"})),
            "metadata.name",
            INVALID,
        ),
        (
            "an_object_has_a_name",
            "configmaps",
            metadata(json!({})),
            "metadata.name",
            REQUIRED,
        ),
        (
            "a_service_name_has_no_dot",
            "services",
            over(service("a"), &json!({"metadata": {"name": "a.b"}})),
            "metadata.name",
            INVALID,
        ),
        (
            "a_label_key_is_a_qualified_name",
            "configmaps",
            metadata(json!({"name": "a", "labels": {"no spaces": "b"}})),
            "metadata.labels",
            INVALID,
        ),
        (
            "a_label_value_has_no_space",
            "configmaps",
            metadata(json!({"name": "a", "labels": {"b": "no spaces"}})),
            "metadata.labels",
            INVALID,
        ),
        (
            "a_label_value_has_63_characters_at_most",
            "configmaps",
            metadata(json!({"name": "a", "labels": {"b": "x".repeat(64)}})),
            "metadata.labels",
            INVALID,
        ),
        (
            "an_annotation_key_is_a_qualified_name",
            "configmaps",
            metadata(json!({"name": "a", "annotations": {"no spaces": "b"}})),
            "metadata.annotations",
            INVALID,
        ),
        (
            "a_finalizer_is_a_qualified_name",
            "configmaps",
            metadata(json!({"name": "a", "finalizers": ["no spaces"]})),
            "metadata.finalizers",
            INVALID,
        ),
        (
            "an_owner_has_a_uid",
            "configmaps",
            metadata(json!({"name": "a", "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": ""},
            ]})),
            "metadata.ownerReferences.uid",
            INVALID,
        ),
        (
            "a_config_map_key_has_no_slash",
            "configmaps",
            json!({"metadata": {"name": "a"}, "data": {"b/c": "d"}}),
            "data[b/c]",
            INVALID,
        ),
        (
            "a_secret_key_has_no_slash",
            "secrets",
            json!({"metadata": {"name": "a"}, "stringData": {"b/c": "d"}}),
            "data[b/c]",
            INVALID,
        ),
        (
            "a_login_of_a_registry_has_its_key",
            "secrets",
            json!({"metadata": {"name": "a"}, "type": "kubernetes.io/dockerconfigjson"}),
            "data[.dockerconfigjson]",
            REQUIRED,
        ),
    ]
}

fn pod_rows() -> Vec<Row> {
    let spec = |spec: Value| over(pod("a", IDLE), &json!({"spec": spec}));
    let mut empty = pod("a", IDLE);
    empty["spec"]["containers"] = json!([]);
    let twice = spec(json!({"containers": [{}, {"name": "c", "image": "x"}]}));
    vec![
        (
            "a_pod_has_a_container",
            "pods",
            empty,
            "spec.containers",
            REQUIRED,
        ),
        (
            "containers_have_names_of_their_own",
            "pods",
            twice,
            "spec.containers[1].name",
            DUPLICATE,
        ),
        (
            "a_restart_policy_is_a_known_one",
            "pods",
            spec(json!({"restartPolicy": "Sometimes"})),
            "spec.restartPolicy",
            UNSUPPORTED,
        ),
        (
            "a_dns_policy_is_a_known_one",
            "pods",
            spec(json!({"dnsPolicy": "Sometimes"})),
            "spec.dnsPolicy",
            UNSUPPORTED,
        ),
        (
            "volumes_have_names_of_their_own",
            "pods",
            spec(json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]})),
            "spec.volumes[1].name",
            DUPLICATE,
        ),
        (
            "a_volume_has_one_source",
            "pods",
            spec(json!({"volumes": [{"name": "a", "emptyDir": {}, "configMap": {"name": "b"}}]})),
            "spec.volumes[0].configMap",
            FORBIDDEN,
        ),
        (
            "a_config_map_volume_names_it",
            "pods",
            spec(json!({"volumes": [{"name": "a", "configMap": {}}]})),
            "spec.volumes[0].configMap.name",
            REQUIRED,
        ),
        (
            "an_active_deadline_is_positive",
            "pods",
            spec(json!({"activeDeadlineSeconds": 0})),
            "spec.activeDeadlineSeconds",
            INVALID,
        ),
        (
            "a_node_selector_has_label_values",
            "pods",
            spec(json!({"nodeSelector": {"a": "no spaces"}})),
            "spec.nodeSelector",
            INVALID,
        ),
        (
            "a_toleration_has_a_known_operator",
            "pods",
            spec(json!({"tolerations": [{"key": "a", "operator": "Maybe"}]})),
            "spec.tolerations[0].operator",
            UNSUPPORTED,
        ),
    ]
}

fn container_rows() -> Vec<Row> {
    let with = |container: Value| pod_with("a", IDLE, &container);
    vec![
        (
            "a_container_has_an_image",
            "pods",
            with(json!({"image": ""})),
            "spec.containers[0].image",
            REQUIRED,
        ),
        (
            "a_container_has_a_name",
            "pods",
            with(json!({"name": ""})),
            "spec.containers[0].name",
            REQUIRED,
        ),
        (
            "a_container_name_is_a_label",
            "pods",
            with(json!({"name": "A"})),
            "spec.containers[0].name",
            INVALID,
        ),
        (
            "a_port_is_below_65536",
            "pods",
            with(json!({"ports": [{"containerPort": 65536}]})),
            "spec.containers[0].ports[0].containerPort",
            INVALID,
        ),
        (
            "ports_have_names_of_their_own",
            "pods",
            with(json!({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]})),
            "spec.containers[0].ports[1].name",
            DUPLICATE,
        ),
        (
            "a_protocol_is_a_known_one",
            "pods",
            with(json!({"ports": [{"containerPort": 1, "protocol": "X"}]})),
            "spec.containers[0].ports[0].protocol",
            UNSUPPORTED,
        ),
        (
            "what_is_mounted_is_a_volume",
            "pods",
            with(json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}]})),
            "spec.containers[0].volumeMounts[0].name",
            NOT_FOUND,
        ),
        (
            "a_request_is_below_its_limit",
            "pods",
            with(json!({"resources": {"limits": {"memory": "1Mi"}}})),
            "spec.containers[0].resources.requests",
            INVALID,
        ),
        (
            "a_resource_is_not_negative",
            "pods",
            with(json!({"resources": {"requests": {"memory": "-1Mi"}}})),
            "spec.containers[0].resources.requests[memory]",
            INVALID,
        ),
        (
            "a_pull_policy_is_a_known_one",
            "pods",
            with(json!({"imagePullPolicy": "Sometimes"})),
            "spec.containers[0].imagePullPolicy",
            UNSUPPORTED,
        ),
        (
            "a_probe_does_something",
            "pods",
            with(json!({"livenessProbe": {}})),
            "spec.containers[0].livenessProbe",
            REQUIRED,
        ),
        (
            "a_liveness_probe_succeeds_at_once",
            "pods",
            with(json!({"livenessProbe": {"successThreshold": 2, "tcpSocket": {"port": 1}}})),
            "spec.containers[0].livenessProbe.successThreshold",
            INVALID,
        ),
        (
            "a_variable_has_a_name",
            "pods",
            with(json!({"env": [{"name": "", "value": "b"}]})),
            "spec.containers[0].env[0].name",
            REQUIRED,
        ),
        (
            "a_variable_has_one_value",
            "pods",
            with(json!({"env": [
                {"name": "a", "value": "b", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "d"}}},
            ]})),
            "spec.containers[0].env[0].valueFrom",
            INVALID,
        ),
        (
            "a_field_of_the_downward_api_is_a_known_one",
            "pods",
            with(
                json!({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.containers"}}}]}),
            ),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
            INVALID,
        ),
    ]
}

fn workload_rows() -> Vec<Row> {
    let spec = |spec: Value| over(deployment("a", 0, IDLE), &json!({"spec": spec}));
    let mut unselected = deployment("a", 0, IDLE);
    unselected["spec"]["selector"] = Value::Null;
    let mut unnamed = stateful_set("a", 0, IDLE);
    unnamed["spec"]["replicas"] = json!(-1);
    let template = json!({"spec": job("a", "true")["spec"]});
    let cron = json!({"metadata": {"name": "a"}, "spec": {"schedule": "never", "jobTemplate": template}});
    let autoscaler = |min: i32, max: i32| {
        json!({"metadata": {"name": "a"}, "spec": {
            "minReplicas": min, "maxReplicas": max,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
        }})
    };
    vec![
        (
            "a_deployment_has_a_selector",
            "deployments",
            unselected,
            "spec.selector",
            REQUIRED,
        ),
        (
            "a_deployment_selects_its_own_pods",
            "deployments",
            spec(json!({"selector": {"matchLabels": {"b": "c"}}})),
            "spec.template.metadata.labels",
            INVALID,
        ),
        (
            "pods_of_a_deployment_run_always",
            "deployments",
            spec(json!({"template": {"spec": {"restartPolicy": "Never"}}})),
            "spec.template.spec.restartPolicy",
            UNSUPPORTED,
        ),
        (
            "replicas_are_not_negative",
            "deployments",
            spec(json!({"replicas": -1})),
            "spec.replicas",
            INVALID,
        ),
        (
            "replicas_of_a_set_are_not_negative",
            "statefulsets",
            unnamed,
            "spec.replicas",
            INVALID,
        ),
        (
            "a_roll_can_move",
            "deployments",
            spec(json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}})),
            "spec.strategy.rollingUpdate.maxUnavailable",
            INVALID,
        ),
        (
            "who_recreates_does_not_roll",
            "deployments",
            spec(json!({"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}})),
            "spec.strategy.rollingUpdate",
            FORBIDDEN,
        ),
        (
            "progress_takes_longer_than_readiness",
            "deployments",
            spec(json!({"progressDeadlineSeconds": 5, "minReadySeconds": 5})),
            "spec.progressDeadlineSeconds",
            INVALID,
        ),
        (
            "pods_of_a_job_do_not_run_always",
            "jobs",
            over(
                job("a", "true"),
                &json!({"spec": {"template": {"spec": {"restartPolicy": "Always"}}}}),
            ),
            "spec.template.spec.restartPolicy",
            REQUIRED,
        ),
        (
            "a_schedule_is_one_of_cron",
            "cronjobs",
            cron,
            "spec.schedule",
            INVALID,
        ),
        (
            "an_autoscaler_has_a_maximum",
            "horizontalpodautoscalers",
            autoscaler(1, 0),
            "spec.maxReplicas",
            INVALID,
        ),
        (
            "a_maximum_is_not_below_the_minimum",
            "horizontalpodautoscalers",
            autoscaler(3, 2),
            "spec.maxReplicas",
            INVALID,
        ),
        (
            "a_disruption_budget_has_one_bound",
            "poddisruptionbudgets",
            json!({"metadata": {"name": "a"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}}),
            "spec",
            INVALID,
        ),
    ]
}

fn network_rows() -> Vec<Row> {
    let spec = |spec: Value| over(service("a"), &json!({"spec": spec}));
    let ingress =
        |path: Value| json!({"metadata": {"name": "a"}, "spec": {"rules": [{"http": {"paths": [path]}}]}});
    let backend = json!({"service": {"name": "a", "port": {"number": 80}}});
    vec![
        (
            "a_service_has_a_port",
            "services",
            json!({"metadata": {"name": "a"}, "spec": {}}),
            "spec.ports",
            REQUIRED,
        ),
        (
            "several_ports_have_names",
            "services",
            spec(json!({"ports": [{}, {"port": 81}]})),
            "spec.ports[0].name",
            REQUIRED,
        ),
        (
            "a_port_stands_there_once",
            "services",
            spec(json!({"ports": [{"name": "a"}, {"name": "b", "port": 80}]})),
            "spec.ports[1]",
            DUPLICATE,
        ),
        (
            "a_service_type_is_a_known_one",
            "services",
            spec(json!({"type": "Else"})),
            "spec.type",
            UNSUPPORTED,
        ),
        (
            "a_node_port_is_in_its_range",
            "services",
            spec(json!({"type": "NodePort", "ports": [{"nodePort": 80}]})),
            "spec.ports[0].nodePort",
            INVALID,
        ),
        (
            "a_node_port_is_for_that_type_alone",
            "services",
            spec(json!({"ports": [{"nodePort": 30080}]})),
            "spec.ports[0].nodePort",
            FORBIDDEN,
        ),
        (
            "a_service_address_is_one",
            "services",
            spec(json!({"clusterIP": "here"})),
            "spec.clusterIPs[0]",
            INVALID,
        ),
        (
            "an_external_name_is_given",
            "services",
            json!({"metadata": {"name": "a"}, "spec": {"type": "ExternalName"}}),
            "spec.externalName",
            REQUIRED,
        ),
        (
            "an_ingress_has_a_type_for_its_path",
            "ingresses",
            ingress(json!({"path": "/", "backend": backend})),
            "spec.rules[0].http.paths[0].pathType",
            REQUIRED,
        ),
        (
            "a_path_of_an_ingress_is_absolute",
            "ingresses",
            ingress(json!({"path": "a", "pathType": "Prefix", "backend": backend})),
            "spec.rules[0].http.paths[0].path",
            INVALID,
        ),
        (
            "an_ingress_leads_somewhere",
            "ingresses",
            json!({"metadata": {"name": "a"}, "spec": {}}),
            "spec",
            INVALID,
        ),
        (
            "an_ingress_names_the_port_of_its_service",
            "ingresses",
            ingress(json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a"}}})),
            "spec.rules[0].http.paths[0].backend",
            REQUIRED,
        ),
    ]
}

fn storage_rows() -> Vec<Row> {
    let without = |field: &str| {
        let mut claim = claim("a");
        claim["spec"][field] = Value::Null;
        claim
    };
    vec![
        (
            "a_claim_has_an_access_mode",
            "persistentvolumeclaims",
            without("accessModes"),
            "spec.accessModes",
            REQUIRED,
        ),
        (
            "a_claim_has_a_size",
            "persistentvolumeclaims",
            without("resources"),
            "spec.resources[storage]",
            REQUIRED,
        ),
        (
            "an_access_mode_is_a_known_one",
            "persistentvolumeclaims",
            over(claim("a"), &json!({"spec": {"accessModes": ["Sometimes"]}})),
            "spec.accessModes",
            UNSUPPORTED,
        ),
    ]
}
