//! The values of fields that a new object leaves out.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds, includes},
    objects::{IDLE, asleep, claim, deployment, job, over, pod, pod_with, service, stateful_set},
    place::{Place, items, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_pod_runs_always_and_ends_within_thirty_seconds,
        a_pod_is_pending_when_it_is_made,
        a_container_has_its_message_file_and_no_resources,
        an_image_with_a_tag_is_pulled_if_not_present,
        an_image_that_may_change_is_pulled_always,
        a_probe_asks_every_ten_seconds,
        a_container_port_is_tcp,
        limits_of_a_pod_are_its_requests,
        requests_that_are_given_stay_beside_limits,
        files_of_volumes_are_readable_by_all,
        a_volume_without_a_source_is_an_empty_dir,
        references_to_fields_have_a_version,
        a_pod_tolerates_a_lost_node_for_five_minutes,
        a_pod_has_priority_zero,
        a_pod_has_a_quality_of_service,
        a_pod_has_the_default_service_account_and_its_token,
        a_pod_can_do_without_a_token,
        a_deployment_rolls_by_a_quarter,
        a_deployment_that_recreates_has_no_parameters_to_roll,
        a_stateful_set_is_ordered_and_keeps_its_claims,
        a_claim_template_is_a_claim,
        a_service_has_an_address_and_is_for_the_cluster,
        a_service_port_leads_to_the_same_port,
        a_headless_service_has_no_address,
        an_external_name_has_no_address,
        a_node_port_is_allocated,
        a_load_balancer_has_node_ports,
        a_service_may_remember_its_clients_for_three_hours,
        a_claim_is_of_the_default_class_and_protected,
        a_secret_is_opaque_and_its_texts_are_encoded,
        an_autoscaler_begins_at_one_and_looks_at_the_cpu,
        a_job_runs_once_and_selects_by_its_uid,
        a_cron_job_allows_overlaps_and_keeps_three,
        a_network_policy_is_for_what_comes_in,
        a_namespace_is_active_and_labelled_with_its_name,
        a_role_binding_names_the_group_of_its_role,
        only_kinds_with_a_spec_count_generations,
        an_object_gets_its_identity,
    ]
}

async fn a_pod_runs_always_and_ends_within_thirty_seconds(at: Place) -> Outcome {
    let plain = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}});
    let made = at.would_create("pods", &plain).await?;
    includes(
        &made["spec"],
        &json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler", "securityContext": {}, "enableServiceLinks": true,
        }),
    )
}

async fn a_pod_is_pending_when_it_is_made(at: Place) -> Outcome {
    let made = at.would_create("pods", &pod("a", IDLE)).await?;
    equal("the phase", made["status"]["phase"].clone(), "Pending")
}

async fn a_container_has_its_message_file_and_no_resources(at: Place) -> Outcome {
    let plain = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}});
    let made = at.would_create("pods", &plain).await?;
    includes(
        &made["spec"]["containers"][0],
        &json!({
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "resources": {},
        }),
    )
}

async fn pull_policy(at: &Place, image: &str) -> Outcome<Value> {
    let plain = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": image}]}});
    let made = at.would_create("pods", &plain).await?;
    Ok(made["spec"]["containers"][0]["imagePullPolicy"].clone())
}

async fn an_image_with_a_tag_is_pulled_if_not_present(at: Place) -> Outcome {
    equal(
        "with a tag",
        pull_policy(&at, "localhost:5000/x:1").await?,
        "IfNotPresent",
    )?;
    let digest = format!("x@sha256:{}", "0".repeat(64));
    equal("with a digest", pull_policy(&at, &digest).await?, "IfNotPresent")
}

async fn an_image_that_may_change_is_pulled_always(at: Place) -> Outcome {
    equal(
        "without a tag",
        pull_policy(&at, "localhost:5000/x").await?,
        "Always",
    )?;
    equal(
        "with the tag latest",
        pull_policy(&at, "x:latest").await?,
        "Always",
    )
}

async fn a_probe_asks_every_ten_seconds(at: Place) -> Outcome {
    let with_probe = pod_with("a", IDLE, &json!({"readinessProbe": {"httpGet": {"port": 80}}}));
    let made = at.would_create("pods", &with_probe).await?;
    includes(
        &made["spec"]["containers"][0]["readinessProbe"],
        &json!({
            "httpGet": {"path": "/", "scheme": "HTTP", "port": 80},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            "initialDelaySeconds": null,
        }),
    )
}

async fn a_container_port_is_tcp(at: Place) -> Outcome {
    let with_port = pod_with("a", IDLE, &json!({"ports": [{"containerPort": 80}]}));
    let made = at.would_create("pods", &with_port).await?;
    equal(
        "the port",
        made["spec"]["containers"][0]["ports"][0]["protocol"].clone(),
        "TCP",
    )
}

async fn limits_of_a_pod_are_its_requests(at: Place) -> Outcome {
    let mut limited = pod("a", IDLE);
    limited["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "100m", "memory": "64Mi"}});
    let made = at.would_create("pods", &limited).await?;
    let requests = made["spec"]["containers"][0]["resources"]["requests"].clone();
    equal("the requests", requests, json!({"cpu": "100m", "memory": "64Mi"}))
}

async fn requests_that_are_given_stay_beside_limits(at: Place) -> Outcome {
    let limits = json!({"resources": {"limits": {"cpu": "100m"}}});
    let made = at.would_create("pods", &pod_with("a", IDLE, &limits)).await?;
    let requests = made["spec"]["containers"][0]["resources"]["requests"].clone();
    equal("the requests", requests, json!({"cpu": "1m", "memory": "8Mi"}))
}

async fn files_of_volumes_are_readable_by_all(at: Place) -> Outcome {
    let volumes = json!({"spec": {"volumes": [
        {"name": "a", "configMap": {"name": "x"}},
        {"name": "b", "secret": {"secretName": "x"}},
        {"name": "c", "downwardAPI": {}},
        {"name": "d", "projected": {"sources": [{"configMap": {"name": "x"}}]}},
    ], "automountServiceAccountToken": false}});
    let made = at.would_create("pods", &over(pod("a", IDLE), &volumes)).await?;
    includes(
        &made["spec"]["volumes"],
        &json!([
            {"configMap": {"defaultMode": 420}}, {"secret": {"defaultMode": 420}},
            {"downwardAPI": {"defaultMode": 420}}, {"projected": {"defaultMode": 420}},
        ]),
    )
}

async fn a_volume_without_a_source_is_an_empty_dir(at: Place) -> Outcome {
    let volume = json!({"spec": {"volumes": [{"name": "a"}]}});
    let made = at.would_create("pods", &over(pod("a", IDLE), &volume)).await?;
    equal(
        "the volume",
        made["spec"]["volumes"][0].clone(),
        json!({"name": "a", "emptyDir": {}}),
    )
}

async fn references_to_fields_have_a_version(at: Place) -> Outcome {
    let environment = json!({"env": [
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ]});
    let made = at
        .would_create("pods", &pod_with("a", IDLE, &environment))
        .await?;
    includes(
        &made["spec"]["containers"][0]["env"],
        &json!([
            {"valueFrom": {"fieldRef": {"apiVersion": "v1"}}},
            {"valueFrom": {"resourceFieldRef": {"divisor": "0"}}},
        ]),
    )
}

async fn a_pod_tolerates_a_lost_node_for_five_minutes(at: Place) -> Outcome {
    let made = at.would_create("pods", &pod("a", IDLE)).await?;
    let toleration = |key: &str| {
        json!({
            "key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": 300,
        })
    };
    equal(
        "the tolerations",
        made["spec"]["tolerations"].clone(),
        json!([toleration("not-ready"), toleration("unreachable")]),
    )
}

async fn a_pod_has_priority_zero(at: Place) -> Outcome {
    let made = at.would_create("pods", &pod("a", IDLE)).await?;
    includes(
        &made["spec"],
        &json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}),
    )
}

async fn a_pod_has_a_quality_of_service(at: Place) -> Outcome {
    for (resources, class) in [
        (json!({}), "BestEffort"),
        (json!({"requests": {"cpu": "1m"}}), "Burstable"),
        (json!({"limits": {"cpu": "1m", "memory": "8Mi"}}), "Guaranteed"),
    ] {
        let mut one = pod("a", IDLE);
        one["spec"]["containers"][0]["resources"] = resources;
        let made = at.would_create("pods", &one).await?;
        equal("the class", made["status"]["qosClass"].clone(), class)?;
    }
    Ok(())
}

async fn a_pod_has_the_default_service_account_and_its_token(at: Place) -> Outcome {
    let made = at.would_create("pods", &pod("a", IDLE)).await?;
    let spec = &made["spec"];
    equal("the account", spec["serviceAccountName"].clone(), "default")?;
    equal("its deprecated name", spec["serviceAccount"].clone(), "default")?;
    let mount = &spec["containers"][0]["volumeMounts"][0];
    includes(
        mount,
        &json!({"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}),
    )?;
    let volume = &spec["volumes"][0];
    equal("the volume's name", volume["name"].clone(), mount["name"].clone())?;
    let is_named = text(volume, "/name").starts_with("kube-api-access-");
    holds(
        "the volume's name",
        is_named,
        "kube-api-access-…",
        &volume["name"],
    )?;
    includes(
        &volume["projected"]["sources"],
        &json!([
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [{"path": "namespace"}]}},
        ]),
    )
}

async fn a_pod_can_do_without_a_token(at: Place) -> Outcome {
    let without = over(
        pod("a", IDLE),
        &json!({"spec": {"automountServiceAccountToken": false}}),
    );
    let made = at.would_create("pods", &without).await?;
    equal("the volumes", made["spec"]["volumes"].clone(), Value::Null)
}

async fn a_deployment_rolls_by_a_quarter(at: Place) -> Outcome {
    let mut plain = deployment("a", 1, IDLE);
    plain["spec"]["replicas"] = Value::Null;
    let made = at.would_create("deployments", &plain).await?;
    includes(
        &made["spec"],
        &json!({
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {
                "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
            },
            "template": {"spec": {"restartPolicy": "Always", "enableServiceLinks": null}},
        }),
    )
}

async fn a_deployment_that_recreates_has_no_parameters_to_roll(at: Place) -> Outcome {
    let recreating = over(
        deployment("a", 0, IDLE),
        &json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    let made = at.would_create("deployments", &recreating).await?;
    equal(
        "the strategy",
        made["spec"]["strategy"].clone(),
        json!({"type": "Recreate"}),
    )
}

async fn a_stateful_set_is_ordered_and_keeps_its_claims(at: Place) -> Outcome {
    let made = at
        .would_create("statefulsets", &stateful_set("a", 0, IDLE))
        .await?;
    includes(
        &made["spec"],
        &json!({
            "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        }),
    )
}

async fn a_claim_template_is_a_claim(at: Place) -> Outcome {
    let claims = json!({"spec": {"volumeClaimTemplates": [claim("data")]}});
    let made = at
        .would_create("statefulsets", &over(stateful_set("a", 0, IDLE), &claims))
        .await?;
    includes(
        &made["spec"]["volumeClaimTemplates"][0],
        &json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {"volumeMode": "Filesystem"},
            "status": {"phase": "Pending"},
        }),
    )
}

async fn a_service_has_an_address_and_is_for_the_cluster(at: Place) -> Outcome {
    let made = at.create("services", &service("a")).await?;
    includes(
        &made["spec"],
        &json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "clusterIPs": [made["spec"]["clusterIP"]],
        }),
    )?;
    let address = text(&made, "/spec/clusterIP");
    let is_address = address.parse::<std::net::Ipv4Addr>().is_ok();
    holds("the address", is_address, "an IPv4 address", &address)
}

async fn a_service_port_leads_to_the_same_port(at: Place) -> Outcome {
    let plain = json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 81}]}});
    let made = at.would_create("services", &plain).await?;
    equal(
        "the port",
        made["spec"]["ports"][0].clone(),
        json!({"protocol": "TCP", "port": 81, "targetPort": 81}),
    )
}

async fn a_headless_service_has_no_address(at: Place) -> Outcome {
    let headless = over(service("a"), &json!({"spec": {"clusterIP": "None"}}));
    let made = at.would_create("services", &headless).await?;
    includes(
        &made["spec"],
        &json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"]}),
    )
}

async fn an_external_name_has_no_address(at: Place) -> Outcome {
    let external = json!({
        "metadata": {"name": "a"}, "spec": {"type": "ExternalName", "externalName": "example.com"},
    });
    let made = at.would_create("services", &external).await?;
    includes(
        &made["spec"],
        &json!({"clusterIP": null, "clusterIPs": null, "internalTrafficPolicy": null, "ipFamilies": null}),
    )
}

fn is_node_port(port: &Value) -> bool {
    port.as_i64().is_some_and(|port| (30000..=32767).contains(&port))
}

async fn a_node_port_is_allocated(at: Place) -> Outcome {
    let made = at
        .create(
            "services",
            &over(service("a"), &json!({"spec": {"type": "NodePort"}})),
        )
        .await?;
    let port = &made["spec"]["ports"][0]["nodePort"];
    holds("the node port", is_node_port(port), "30000 to 32767", port)?;
    equal(
        "the policy",
        made["spec"]["externalTrafficPolicy"].clone(),
        "Cluster",
    )
}

async fn a_load_balancer_has_node_ports(at: Place) -> Outcome {
    let made = at
        .create(
            "services",
            &over(service("a"), &json!({"spec": {"type": "LoadBalancer"}})),
        )
        .await?;
    let port = &made["spec"]["ports"][0]["nodePort"];
    holds("the node port", is_node_port(port), "30000 to 32767", port)?;
    includes(
        &made,
        &json!({"spec": {"allocateLoadBalancerNodePorts": true}, "status": {"loadBalancer": {}}}),
    )
}

async fn a_service_may_remember_its_clients_for_three_hours(at: Place) -> Outcome {
    let sticky = over(service("a"), &json!({"spec": {"sessionAffinity": "ClientIP"}}));
    let made = at.would_create("services", &sticky).await?;
    equal(
        "the affinity",
        made["spec"]["sessionAffinityConfig"].clone(),
        json!({"clientIP": {"timeoutSeconds": 10800}}),
    )
}

async fn a_claim_is_of_the_default_class_and_protected(at: Place) -> Outcome {
    let classes = at.read("/apis/storage.k8s.io/v1/storageclasses").await?;
    let default = items(&classes).iter().find(|class| {
        class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    });
    let class = default.map_or("", |class| text(class, "/metadata/name"));
    let made = at.create("persistentvolumeclaims", &claim("a")).await?;
    includes(
        &made,
        &json!({
            "metadata": {"finalizers": ["kubernetes.io/pvc-protection"]},
            "spec": {"volumeMode": "Filesystem", "storageClassName": class},
            "status": {"phase": "Pending"},
        }),
    )
}

async fn a_secret_is_opaque_and_its_texts_are_encoded(at: Place) -> Outcome {
    let secret =
        json!({"metadata": {"name": "a"}, "data": {"a": "YQ=="}, "stringData": {"a": "b", "c": "d"}});
    let made = at.would_create("secrets", &secret).await?;
    includes(
        &made,
        &json!({"type": "Opaque", "data": {"a": "Yg==", "c": "ZA=="}, "stringData": null}),
    )
}

async fn an_autoscaler_begins_at_one_and_looks_at_the_cpu(at: Place) -> Outcome {
    let autoscaler = json!({"metadata": {"name": "a"}, "spec": {
        "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
    }});
    let made = at.would_create("horizontalpodautoscalers", &autoscaler).await?;
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
    includes(
        &made["spec"],
        &json!({"minReplicas": 1, "metrics": [{"type": "Resource", "resource": cpu}]}),
    )
}

async fn a_job_runs_once_and_selects_by_its_uid(at: Place) -> Outcome {
    let made = at.would_create("jobs", &job("a", "true")).await?;
    let uid = made["metadata"]["uid"].clone();
    includes(
        &made["spec"],
        &json!({
            "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
            "suspend": false, "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "template": {"metadata": {"labels": {
                "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "a",
                "controller-uid": uid, "job-name": "a",
            }}},
        }),
    )
}

async fn a_cron_job_allows_overlaps_and_keeps_three(at: Place) -> Outcome {
    let template = json!({"spec": job("a", "true")["spec"]});
    let cron = json!({"metadata": {"name": "a"}, "spec": {"schedule": "0 0 1 1 *", "jobTemplate": template}});
    let made = at.would_create("cronjobs", &cron).await?;
    includes(
        &made["spec"],
        &json!({
            "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        }),
    )
}

async fn a_network_policy_is_for_what_comes_in(at: Place) -> Outcome {
    let policy = |spec: Value| json!({"metadata": {"name": "a"}, "spec": spec});
    let made = at
        .would_create("networkpolicies", &policy(json!({"podSelector": {}})))
        .await?;
    equal(
        "the types",
        made["spec"]["policyTypes"].clone(),
        json!(["Ingress"]),
    )?;
    let both = policy(json!({"podSelector": {}, "egress": [{"ports": [{"port": 80}]}]}));
    let made = at.would_create("networkpolicies", &both).await?;
    includes(
        &made["spec"],
        &json!({"policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [{"protocol": "TCP"}]}]}),
    )
}

async fn a_namespace_is_active_and_labelled_with_its_name(at: Place) -> Outcome {
    let own = at.read(&at.own()).await?;
    let name = at.namespace();
    includes(
        &own,
        &json!({
            "metadata": {"labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        }),
    )
}

async fn a_role_binding_names_the_group_of_its_role(at: Place) -> Outcome {
    let binding = json!({
        "metadata": {"name": "a"}, "roleRef": {"kind": "Role", "name": "a"},
        "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
    });
    let made = at.would_create("rolebindings", &binding).await?;
    includes(
        &made,
        &json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io"}, {"apiGroup": null}],
        }),
    )
}

async fn only_kinds_with_a_spec_count_generations(at: Place) -> Outcome {
    let counted = at.create("deployments", &deployment("a", 0, IDLE)).await?;
    equal("a new deployment", counted["metadata"]["generation"].clone(), 1)?;
    let counted = at.create("pods", &asleep("a")).await?;
    equal("a new pod", counted["metadata"]["generation"].clone(), 1)?;
    let plain = at
        .create("configmaps", &json!({"metadata": {"name": "a"}}))
        .await?;
    equal(
        "a config map",
        plain["metadata"]["generation"].clone(),
        Value::Null,
    )
}

async fn an_object_gets_its_identity(at: Place) -> Outcome {
    let sent = json!({"metadata": {
        "name": "a", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z",
    }});
    let made = at.create("configmaps", &sent).await?;
    let metadata = &made["metadata"];
    let is_new =
        text(metadata, "/uid").len() == 36 && !text(metadata, "/creationTimestamp").starts_with("2001");
    holds("uid and time", is_new, "those of the server", metadata)?;
    let name = at.namespace();
    includes(metadata, &json!({"namespace": name, "deletionTimestamp": null}))?;
    let version = text(metadata, "/resourceVersion");
    holds(
        "the version",
        version.parse::<u64>().is_ok(),
        "a number",
        &version,
    )
}
