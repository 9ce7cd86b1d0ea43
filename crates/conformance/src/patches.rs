//! JSON patches, merge patches and strategic merge patches.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    answer::REQUIRED,
    behaviour::{Behaviour, Outcome, behaviours, equal, includes},
    objects::{IDLE, config_map, deployment, labelled, over, service},
    place::{Patch, Place},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        json_adds_replaces_and_removes,
        json_moves_and_copies,
        json_puts_into_lists,
        json_keys_are_escaped,
        json_tests_pass_or_refuse_all,
        json_removes_only_what_is_there,
        json_that_is_no_patch_is_refused,
        merge_removes_by_null,
        merge_adds_to_maps,
        merge_replaces_lists,
        merge_that_is_no_object_is_refused,
        strategic_merges_containers_by_name,
        strategic_merges_variables_by_name,
        strategic_merges_service_ports_by_port,
        strategic_adds_containers,
        strategic_deletes_items_by_directive,
        strategic_replaces_by_directive,
        strategic_retains_keys_by_directive,
        strategic_orders_by_directive,
        strategic_replaces_atomic_lists,
        strategic_adds_to_primitive_lists,
        strategic_deletes_from_primitive_lists,
        strategic_removes_by_null,
        a_patch_of_an_unknown_kind_is_refused,
        a_patch_does_not_rename,
        a_patch_to_something_invalid_is_refused,
        a_patch_with_an_unknown_field_warns,
        a_patch_is_defaulted,
        force_is_for_apply_alone,
    ]
}

async fn json_patched(at: &Place, object: &Value, operations: Value) -> Outcome<Value> {
    at.create("configmaps", object).await?;
    at.patch("configmaps/a", Patch::Json, &operations)
        .await?
        .done(StatusCode::OK)
}

async fn json_adds_replaces_and_removes(at: Place) -> Outcome {
    let object = over(config_map("a"), &json!({"data": {"b": "2"}}));
    let operations = json!([
        {"op": "add", "path": "/data/c", "value": "3"}, {"op": "replace", "path": "/data/a", "value": "4"},
        {"op": "remove", "path": "/data/b"},
    ]);
    let patched = json_patched(&at, &object, operations).await?;
    equal("the data", patched["data"].clone(), json!({"a": "4", "c": "3"}))
}

async fn json_moves_and_copies(at: Place) -> Outcome {
    let operations = json!([
        {"op": "copy", "from": "/data/a", "path": "/data/b"}, {"op": "move", "from": "/data/a", "path": "/data/c"},
    ]);
    let patched = json_patched(&at, &config_map("a"), operations).await?;
    equal("the data", patched["data"].clone(), json!({"b": "1", "c": "1"}))
}

async fn json_puts_into_lists(at: Place) -> Outcome {
    let object = over(
        config_map("a"),
        &json!({"metadata": {"finalizers": ["x.example/b"]}}),
    );
    let operations = json!([
        {"op": "add", "path": "/metadata/finalizers/0", "value": "x.example/a"},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "x.example/c"},
    ]);
    let patched = json_patched(&at, &object, operations).await?;
    at.merge("configmaps/a", &json!({"metadata": {"finalizers": null}}))
        .await?;
    equal(
        "the list",
        patched["metadata"]["finalizers"].clone(),
        json!(["x.example/a", "x.example/b", "x.example/c"]),
    )
}

async fn json_keys_are_escaped(at: Place) -> Outcome {
    let object = labelled("a", &json!({"example.com/b": "c"}));
    let operations = json!([{"op": "replace", "path": "/metadata/labels/example.com~1b", "value": "d"}]);
    let patched = json_patched(&at, &object, operations).await?;
    equal(
        "the labels",
        patched["metadata"]["labels"].clone(),
        json!({"example.com/b": "d"}),
    )
}

async fn json_tests_pass_or_refuse_all(at: Place) -> Outcome {
    let test = |value: &str| {
        json!([
            {"op": "replace", "path": "/data/a", "value": "2"}, {"op": "test", "path": "/data/a", "value": value},
        ])
    };
    at.create("configmaps", &config_map("a")).await?;
    let refused = at.patch("configmaps/a", Patch::Json, &test("1")).await?;
    refused.refused(422, "Invalid")?;
    equal(
        "the data",
        at.read("configmaps/a").await?["data"]["a"].clone(),
        "1",
    )?;
    at.patch("configmaps/a", Patch::Json, &test("2"))
        .await?
        .has_code(200)
}

async fn json_removes_only_what_is_there(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let operations = json!([{"op": "remove", "path": "/data/none"}]);
    at.patch("configmaps/a", Patch::Json, &operations)
        .await?
        .refused(422, "Invalid")
}

async fn json_that_is_no_patch_is_refused(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    at.patch("configmaps/a", Patch::Json, &json!({"data": {}}))
        .await?
        .refused(400, "BadRequest")
}

async fn merge_removes_by_null(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let patched = at
        .merge("configmaps/a", &json!({"data": {"a": null, "b": "2"}}))
        .await?;
    equal("the data", patched["data"].clone(), json!({"b": "2"}))
}

async fn merge_adds_to_maps(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let patched = at
        .merge(
            "configmaps/a",
            &json!({"data": {"b": "2"}, "metadata": {"labels": {"c": "d"}}}),
        )
        .await?;
    includes(
        &patched,
        &json!({"data": {"a": "1", "b": "2"}, "metadata": {"labels": {"c": "d"}}}),
    )
}

async fn merge_replaces_lists(at: Place) -> Outcome {
    let two = json!({"metadata": {"name": "a"}, "spec": {"ports": [
        {"name": "a", "port": 1}, {"name": "b", "port": 2},
    ]}});
    at.create("services", &two).await?;
    let patched = at
        .merge(
            "services/a",
            &json!({"spec": {"ports": [{"name": "c", "port": 3}]}}),
        )
        .await?;
    includes(&patched["spec"]["ports"], &json!([{"name": "c", "port": 3}]))
}

async fn merge_that_is_no_object_is_refused(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let answer = at.patch("configmaps/a", Patch::Merge, &json!([1])).await?;
    answer.refused(400, "BadRequest")
}

/// A Deployment of the containers `c` and `d`, and what a strategic merge patch of its pods' spec makes of it.
async fn strategically_patched(at: &Place, spec: &Value) -> Outcome<Value> {
    let mut object = deployment("a", 0, IDLE);
    object["spec"]["template"]["spec"]["containers"] = json!([
        {"name": "c", "image": "x:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "d", "image": "y:1", "args": ["a", "b"]},
    ]);
    object["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    at.create("deployments", &object).await?;
    let patch = json!({"spec": {"template": {"spec": spec}}});
    let patched = at
        .patch("deployments/a", Patch::Strategic, &patch)
        .await?
        .done(StatusCode::OK)?;
    Ok(patched["spec"]["template"]["spec"].clone())
}

async fn strategic_merges_containers_by_name(at: Place) -> Outcome {
    let patch = json!({"containers": [{"name": "d", "image": "y:2"}]});
    let spec = strategically_patched(&at, &patch).await?;
    includes(
        &spec["containers"],
        &json!([{"name": "c", "image": "x:1"}, {"name": "d", "image": "y:2", "args": ["a", "b"]}]),
    )
}

async fn strategic_merges_variables_by_name(at: Place) -> Outcome {
    let patch = json!({"containers": [{"name": "c", "env": [{"name": "B", "value": "3"}]}]});
    let spec = strategically_patched(&at, &patch).await?;
    equal(
        "the variables",
        spec["containers"][0]["env"].clone(),
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "3"}]),
    )
}

async fn strategic_merges_service_ports_by_port(at: Place) -> Outcome {
    at.create("services", &service("a")).await?;
    let patch = json!({"spec": {"ports": [{"port": 80, "name": "http"}]}});
    let patched = at
        .patch("services/a", Patch::Strategic, &patch)
        .await?
        .done(StatusCode::OK)?;
    includes(
        &patched["spec"]["ports"],
        &json!([{"name": "http", "port": 80, "targetPort": 8080}]),
    )
}

async fn strategic_adds_containers(at: Place) -> Outcome {
    let patch = json!({"containers": [{"name": "e", "image": "z:1"}]});
    let spec = strategically_patched(&at, &patch).await?;
    let mut names: Vec<&str> = spec["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["name"].as_str())
        .collect();
    names.sort_unstable();
    equal("the containers", json!(names), json!(["c", "d", "e"]))
}

async fn strategic_deletes_items_by_directive(at: Place) -> Outcome {
    let patch = json!({"containers": [{"name": "c", "$patch": "delete"}]});
    let spec = strategically_patched(&at, &patch).await?;
    includes(&spec["containers"], &json!([{"name": "d"}]))
}

async fn strategic_replaces_by_directive(at: Place) -> Outcome {
    let patch = json!({"containers": [{"name": "e", "image": "z:1"}, {"$patch": "replace"}]});
    let spec = strategically_patched(&at, &patch).await?;
    includes(&spec["containers"], &json!([{"name": "e"}]))
}

async fn strategic_retains_keys_by_directive(at: Place) -> Outcome {
    let patch =
        json!({"volumes": [{"$retainKeys": ["name", "configMap"], "name": "v", "configMap": {"name": "m"}}]});
    let spec = strategically_patched(&at, &patch).await?;
    equal(
        "the volumes",
        spec["volumes"].clone(),
        json!([{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}]),
    )
}

async fn strategic_orders_by_directive(at: Place) -> Outcome {
    let patch =
        json!({"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}], "containers": [{"name": "c"}]});
    let spec = strategically_patched(&at, &patch).await?;
    includes(&spec["containers"], &json!([{"name": "d"}, {"name": "c"}]))
}

async fn strategic_replaces_atomic_lists(at: Place) -> Outcome {
    let patch = json!({"containers": [{"name": "d", "args": ["z"]}]});
    let spec = strategically_patched(&at, &patch).await?;
    equal(
        "the arguments",
        spec["containers"][1]["args"].clone(),
        json!(["z"]),
    )
}

/// A ConfigMap with the finalizers `a` and `b`, and those that a strategic merge patch leaves; they are removed.
async fn finalizers_after(at: &Place, patch: &Value) -> Outcome<Value> {
    let finalizers = json!({"metadata": {"finalizers": ["x.example/a", "x.example/b"]}});
    at.create("configmaps", &over(config_map("a"), &finalizers))
        .await?;
    let patched = at
        .patch("configmaps/a", Patch::Strategic, patch)
        .await?
        .done(StatusCode::OK)?;
    at.merge("configmaps/a", &json!({"metadata": {"finalizers": null}}))
        .await?;
    Ok(patched["metadata"]["finalizers"].clone())
}

async fn strategic_adds_to_primitive_lists(at: Place) -> Outcome {
    let left = finalizers_after(&at, &json!({"metadata": {"finalizers": ["x.example/c"]}})).await?;
    let mut all: Vec<&str> = left
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    all.sort_unstable();
    equal(
        "the finalizers",
        json!(all),
        json!(["x.example/a", "x.example/b", "x.example/c"]),
    )
}

async fn strategic_deletes_from_primitive_lists(at: Place) -> Outcome {
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.example/a"]}});
    equal(
        "the finalizers",
        finalizers_after(&at, &patch).await?,
        json!(["x.example/b"]),
    )
}

async fn strategic_removes_by_null(at: Place) -> Outcome {
    let spec = strategically_patched(&at, &json!({"volumes": null})).await?;
    equal("the volumes", spec["volumes"].clone(), Value::Null)
}

async fn a_patch_of_an_unknown_kind_is_refused(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let headers = [("content-type", "application/json")];
    let answer = at
        .send(Method::PATCH, "configmaps/a", &headers, b"{}".to_vec())
        .await?;
    answer.refused(415, "UnsupportedMediaType")
}

async fn a_patch_does_not_rename(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let answer = at
        .patch("configmaps/a", Patch::Merge, &json!({"metadata": {"name": "b"}}))
        .await?;
    answer.refused(400, "BadRequest")?;
    answer.says("the name of the object (b) does not match the name on the URL (a)")
}

async fn a_patch_to_something_invalid_is_refused(at: Place) -> Outcome {
    at.create("services", &service("a")).await?;
    let answer = at
        .patch("services/a", Patch::Merge, &json!({"spec": {"ports": []}}))
        .await?;
    answer.refused(422, "Invalid")?;
    answer.names_cause("spec.ports", REQUIRED)
}

async fn a_patch_with_an_unknown_field_warns(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let answer = at
        .patch("configmaps/a", Patch::Merge, &json!({"dota": {"a": "b"}}))
        .await?;
    answer.has_code(200)?;
    equal(
        "the warning",
        answer.header("warning"),
        r#"299 - "unknown field \"dota\"""#,
    )
}

async fn a_patch_is_defaulted(at: Place) -> Outcome {
    at.create("services", &service("a")).await?;
    let patched = at
        .merge("services/a", &json!({"spec": {"ports": [{"port": 81}]}}))
        .await?;
    includes(
        &patched["spec"]["ports"],
        &json!([{"port": 81, "targetPort": 81, "protocol": "TCP"}]),
    )
}

async fn force_is_for_apply_alone(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let answer = at
        .patch("configmaps/a?force=true", Patch::Merge, &json!({"data": {}}))
        .await?;
    answer.refused(422, "Invalid")?;
    answer.says("force: Forbidden: may not be specified for non-apply patch")
}
