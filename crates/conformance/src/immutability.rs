//! What an update may change, and what stays as it was made.

use serde_json::{Value, json};

use crate::{
    answer::{FORBIDDEN, INVALID},
    behaviour::{Behaviour, Outcome, behaviours, equal, holds},
    objects::{IDLE, asleep, claim, config_map, deployment, job, over, service, stateful_set},
    place::{Patch, Place},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
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
    ]
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
    stays(&at, "pods", &asleep("a"), &patch, ("spec", FORBIDDEN)).await
}

async fn the_image_of_a_pod_may_change(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
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
