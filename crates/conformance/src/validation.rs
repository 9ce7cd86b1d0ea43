//! What is refused, with which code, for which reason and because of which field.

use http::Method;
use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal, holds},
    objects::{IDLE, claim, config_map, deployment, job, over, pod, pod_with, service, stateful_set},
    place::{Patch, Place},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let mut all = behaviours![
        what_is_missing_is_not_found_by_kind_and_name,
        what_exists_is_not_made_again,
        a_namespace_has_to_exist,
        the_namespace_of_the_object_is_that_of_the_path,
        the_name_of_the_object_is_that_of_the_path,
        what_does_not_exist_is_not_updated,
        a_body_that_is_no_json_is_refused,
        a_body_of_another_kind_is_refused,
        a_field_of_another_type_is_refused,
        a_quantity_that_is_none_is_refused,
        data_that_is_not_encoded_is_refused,
        a_body_of_an_unknown_media_type_is_refused,
        an_answer_of_an_unknown_media_type_is_refused,
        a_body_may_be_yaml,
        an_unknown_field_is_dropped_with_a_warning,
        an_unknown_field_is_refused_when_asked,
        an_unknown_field_is_ignored_when_asked,
        a_field_that_stands_there_twice_is_refused_when_asked,
        an_unknown_resource_is_not_found,
        a_method_that_a_resource_lacks_is_not_allowed,
        every_cause_is_named_at_once,
        the_selector_of_a_deployment_is_immutable,
        most_of_a_stateful_set_is_immutable,
        most_of_a_pod_is_immutable,
        the_image_of_a_pod_may_change,
        the_address_of_a_service_is_immutable,
        the_type_of_a_secret_is_immutable,
        what_says_that_it_is_immutable_is,
        a_claim_is_immutable,
        the_template_of_a_job_is_immutable,
        a_node_port_is_given_once,
        a_service_may_become_a_node_port_and_back,
    ];
    all.extend(refusals().into_iter().map(Refusal::into_behaviour));
    all
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

const REQUIRED: &str = "FieldValueRequired";
const INVALID: &str = "FieldValueInvalid";
const UNSUPPORTED: &str = "FieldValueNotSupported";
const DUPLICATE: &str = "FieldValueDuplicate";
const NOT_FOUND: &str = "FieldValueNotFound";
const FORBIDDEN: &str = "FieldValueForbidden";

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

async fn what_is_missing_is_not_found_by_kind_and_name(at: Place) -> Outcome {
    let answer = at.get("deployments/a").await?;
    answer.refused(404, "NotFound")?;
    answer.says(r#"deployments.apps "a" not found"#)?;
    equal(
        "the details",
        answer.body()["details"].clone(),
        json!({"name": "a", "group": "apps", "kind": "deployments"}),
    )?;
    at.delete("configmaps/a").await?.refused(404, "NotFound")?;
    at.patch("configmaps/a", Patch::Merge, &json!({"data": {}}))
        .await?
        .refused(404, "NotFound")
}

async fn what_exists_is_not_made_again(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let again = at.post("configmaps", &config_map("a")).await?;
    again.refused(409, "AlreadyExists")?;
    again.says(r#"configmaps "a" already exists"#)
}

async fn a_namespace_has_to_exist(at: Place) -> Outcome {
    let nowhere = format!("/api/v1/namespaces/no-{}/configmaps", at.namespace());
    let answer = at.post(&nowhere, &config_map("a")).await?;
    answer.refused(404, "NotFound")?;
    answer.says("namespaces \"no-")
}

async fn the_namespace_of_the_object_is_that_of_the_path(at: Place) -> Outcome {
    let elsewhere = over(config_map("a"), &json!({"metadata": {"namespace": "default"}}));
    let answer = at.post("configmaps", &elsewhere).await?;
    answer.refused(400, "BadRequest")?;
    answer.says("the namespace of the provided object does not match the namespace sent on the request")
}

async fn the_name_of_the_object_is_that_of_the_path(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let answer = at.put("configmaps/a", &config_map("b")).await?;
    answer.refused(400, "BadRequest")?;
    answer.says("the name of the object (b) does not match the name on the URL (a)")
}

async fn what_does_not_exist_is_not_updated(at: Place) -> Outcome {
    at.put("configmaps/a", &config_map("a"))
        .await?
        .refused(404, "NotFound")
}

async fn a_body_that_is_no_json_is_refused(at: Place) -> Outcome {
    let headers = [("content-type", "application/json")];
    let answer = at
        .send(Method::POST, "configmaps", &headers, b"{".to_vec())
        .await?;
    answer.refused(400, "BadRequest")
}

async fn a_body_of_another_kind_is_refused(at: Place) -> Outcome {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    let answer = at.post("configmaps", &secret).await?;
    answer.refused(400, "BadRequest")?;
    answer.says("cannot be handled as a ConfigMap")
}

async fn a_field_of_another_type_is_refused(at: Place) -> Outcome {
    let many = over(deployment("a", 0, IDLE), &json!({"spec": {"replicas": "many"}}));
    let answer = at.post("deployments", &many).await?;
    answer.refused(400, "BadRequest")?;
    answer.says("Deployment in version \"v1\" cannot be handled as a Deployment")
}

async fn a_quantity_that_is_none_is_refused(at: Place) -> Outcome {
    let answer = at
        .post(
            "pods",
            &pod_with("a", IDLE, &json!({"resources": {"limits": {"cpu": "1Q"}}})),
        )
        .await?;
    answer.refused(400, "BadRequest")?;
    answer.says("quantities must match the regular expression")
}

async fn data_that_is_not_encoded_is_refused(at: Place) -> Outcome {
    let secret = json!({"metadata": {"name": "a"}, "data": {"a": "no base64!"}});
    let answer = at.post("secrets", &secret).await?;
    answer.refused(400, "BadRequest")?;
    answer.says("illegal base64 data")
}

async fn a_body_of_an_unknown_media_type_is_refused(at: Place) -> Outcome {
    let headers = [("content-type", "text/plain")];
    let answer = at
        .send(Method::POST, "configmaps", &headers, b"{}".to_vec())
        .await?;
    answer.refused(415, "UnsupportedMediaType")
}

async fn an_answer_of_an_unknown_media_type_is_refused(at: Place) -> Outcome {
    at.get_as("configmaps", "text/csv")
        .await?
        .refused(406, "NotAcceptable")
}

async fn a_body_may_be_yaml(at: Place) -> Outcome {
    let body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  b: \"yes\"\n".to_vec();
    let answer = at
        .send(
            Method::POST,
            "configmaps",
            &[("content-type", "application/yaml")],
            body,
        )
        .await?;
    let made = answer.done(http::StatusCode::CREATED)?;
    equal("the data", made["data"].clone(), json!({"b": "yes"}))
}

async fn create_with_unknown(at: &Place, validation: &str) -> Outcome<crate::answer::Answer> {
    let object = over(config_map("a"), &json!({"dota": {}}));
    at.post(&format!("configmaps?fieldValidation={validation}"), &object)
        .await
}

async fn an_unknown_field_is_dropped_with_a_warning(at: Place) -> Outcome {
    let answer = create_with_unknown(&at, "Warn").await?;
    equal(
        "the warning",
        answer.header("warning"),
        r#"299 - "unknown field \"dota\"""#,
    )?;
    equal(
        "the field",
        answer.done(http::StatusCode::CREATED)?["dota"].clone(),
        Value::Null,
    )
}

async fn an_unknown_field_is_refused_when_asked(at: Place) -> Outcome {
    let answer = create_with_unknown(&at, "Strict").await?;
    answer.refused(400, "BadRequest")?;
    answer.says(r#"strict decoding error: unknown field "dota""#)
}

async fn an_unknown_field_is_ignored_when_asked(at: Place) -> Outcome {
    let answer = create_with_unknown(&at, "Ignore").await?;
    answer.has_code(201)?;
    equal("the warning", answer.header("warning"), "")
}

async fn a_field_that_stands_there_twice_is_refused_when_asked(at: Place) -> Outcome {
    let body = br#"{"metadata": {"name": "a"}, "data": {"b": "1"}, "data": {"b": "2"}}"#.to_vec();
    let headers = [("content-type", "application/json")];
    let answer = at
        .send(Method::POST, "configmaps?fieldValidation=Strict", &headers, body)
        .await?;
    answer.refused(400, "BadRequest")?;
    answer.says(r#"duplicate field "data""#)
}

async fn an_unknown_resource_is_not_found(at: Place) -> Outcome {
    at.get("/apis/apps/v1/nothings").await?.has_code(404)?;
    at.get("/apis/nothing.example/v1/nothings").await?.has_code(404)
}

async fn a_method_that_a_resource_lacks_is_not_allowed(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    at.post("configmaps/a", &config_map("a"))
        .await?
        .refused(405, "MethodNotAllowed")?;
    at.put("configmaps", &config_map("a"))
        .await?
        .refused(405, "MethodNotAllowed")
}

async fn every_cause_is_named_at_once(at: Place) -> Outcome {
    let answer = at
        .post("pods", &pod_with("A", IDLE, &json!({"image": ""})))
        .await?;
    answer.refused(422, "Invalid")?;
    answer.names_cause("metadata.name", INVALID)?;
    answer.names_cause("spec.containers[0].image", REQUIRED)?;
    contains(
        "the message",
        answer.body()["message"].as_str().unwrap_or_default(),
        r#"Pod "A" is invalid: ["#,
    )
}

/// Makes an object; a merge patch of it is refused because of a field.
async fn stays(at: &Place, resource: &str, object: &Value, patch: &Value, cause: (&str, &str)) -> Outcome {
    at.create(resource, object).await?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let answer = at
        .patch(&format!("{resource}/{name}"), Patch::Merge, patch)
        .await?;
    answer.refused(422, "Invalid")?;
    answer.names_cause(cause.0, cause.1)
}

async fn the_selector_of_a_deployment_is_immutable(at: Place) -> Outcome {
    let patch = json!({"spec": {
        "selector": {"matchLabels": {"b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}},
    }});
    stays(
        &at,
        "deployments",
        &deployment("a", 0, IDLE),
        &patch,
        ("spec.selector", INVALID),
    )
    .await
}

async fn most_of_a_stateful_set_is_immutable(at: Place) -> Outcome {
    let patch = json!({"spec": {"podManagementPolicy": "Parallel"}});
    stays(
        &at,
        "statefulsets",
        &stateful_set("a", 0, IDLE),
        &patch,
        ("spec", FORBIDDEN),
    )
    .await
}

async fn most_of_a_pod_is_immutable(at: Place) -> Outcome {
    let patch = json!({"spec": {"restartPolicy": "Always"}});
    stays(
        &at,
        "pods",
        &crate::objects::asleep("a"),
        &patch,
        ("spec", FORBIDDEN),
    )
    .await
}

async fn the_image_of_a_pod_may_change(at: Place) -> Outcome {
    at.create("pods", &crate::objects::asleep("a")).await?;
    let patch = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "x:2"}]);
    let changed = at
        .patch("pods/a", Patch::Json, &patch)
        .await?
        .done(http::StatusCode::OK)?;
    equal(
        "the image",
        changed["spec"]["containers"][0]["image"].clone(),
        "x:2",
    )
}

async fn the_address_of_a_service_is_immutable(at: Place) -> Outcome {
    let patch = json!({"spec": {"clusterIP": "10.96.255.254", "clusterIPs": ["10.96.255.254"]}});
    stays(
        &at,
        "services",
        &service("a"),
        &patch,
        ("spec.clusterIPs[0]", INVALID),
    )
    .await
}

async fn the_type_of_a_secret_is_immutable(at: Place) -> Outcome {
    let secret = json!({"metadata": {"name": "a"}});
    stays(
        &at,
        "secrets",
        &secret,
        &json!({"type": "other"}),
        ("type", INVALID),
    )
    .await
}

async fn what_says_that_it_is_immutable_is(at: Place) -> Outcome {
    let fixed = over(config_map("a"), &json!({"immutable": true}));
    stays(
        &at,
        "configmaps",
        &fixed,
        &json!({"data": {"a": "2"}}),
        ("data", FORBIDDEN),
    )
    .await?;
    let answer = at
        .patch("configmaps/a", Patch::Merge, &json!({"immutable": false}))
        .await?;
    answer.names_cause("immutable", FORBIDDEN)
}

async fn a_claim_is_immutable(at: Place) -> Outcome {
    let patch = json!({"spec": {"accessModes": ["ReadWriteMany"]}});
    stays(
        &at,
        "persistentvolumeclaims",
        &claim("a"),
        &patch,
        ("spec", FORBIDDEN),
    )
    .await
}

async fn the_template_of_a_job_is_immutable(at: Place) -> Outcome {
    let suspended = over(job("a", "true"), &json!({"spec": {"suspend": true}}));
    let patch = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}});
    stays(&at, "jobs", &suspended, &patch, ("spec.template", INVALID)).await
}

async fn a_node_port_is_given_once(at: Place) -> Outcome {
    let of_type = |name: &str| over(service(name), &json!({"spec": {"type": "NodePort"}}));
    let first = at.create("services", &of_type("a")).await?;
    let port = &first["spec"]["ports"][0]["nodePort"];
    let second = over(of_type("b"), &json!({"spec": {"ports": [{"nodePort": port}]}}));
    let answer = at.post("services", &second).await?;
    answer.refused(422, "Invalid")?;
    answer.names_cause("spec.ports[0].nodePort", INVALID)?;
    answer.says("provided port is already allocated")
}

async fn a_service_may_become_a_node_port_and_back(at: Place) -> Outcome {
    at.create("services", &service("a")).await?;
    let changed = at
        .merge("services/a", &json!({"spec": {"type": "NodePort"}}))
        .await?;
    let port = &changed["spec"]["ports"][0]["nodePort"];
    holds(
        "the node port",
        port.as_i64().is_some_and(|port| port >= 30000),
        "one",
        port,
    )?;
    let back = at
        .merge("services/a", &json!({"spec": {"type": "ClusterIP"}}))
        .await?;
    equal(
        "the node port",
        back["spec"]["ports"][0]["nodePort"].clone(),
        Value::Null,
    )?;
    equal(
        "the policy",
        back["spec"]["externalTrafficPolicy"].clone(),
        Value::Null,
    )
}
