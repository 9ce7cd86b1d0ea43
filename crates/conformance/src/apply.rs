//! Server-side apply: who owns which field, and what that means.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds, includes},
    objects::{IDLE, config_map, deployment, over},
    place::{Patch, Place},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        what_is_missing_is_made,
        the_manager_owns_what_it_applied,
        applying_the_same_changes_nothing,
        a_field_of_another_manager_is_a_conflict,
        a_field_with_the_same_value_is_shared,
        several_conflicts_are_all_told,
        force_takes_the_field,
        a_field_that_is_not_applied_any_more_is_removed,
        a_shared_field_stays_while_somebody_applies_it,
        a_field_of_nobody_else_stays_after_an_update,
        an_update_owns_what_it_changes,
        an_update_conflicts_with_an_apply,
        a_manager_is_required,
        owners_are_not_applied,
        the_name_is_that_of_the_path,
        containers_are_owned_by_name,
        a_list_of_texts_is_owned_as_a_whole,
        finalizers_are_a_set,
        the_status_is_applied_by_its_subresource,
        an_old_version_is_a_conflict,
        a_configuration_may_be_yaml,
        owners_can_be_cleared,
        an_unknown_field_is_refused,
        replicas_that_a_scale_has_set_are_its_own,
    ]
}

fn with_data(data: &Value) -> Value {
    let mut object = config_map("a");
    object["data"] = data.clone();
    object
}

/// Applies data, which has to be accepted.
async fn apply(at: &Place, manager: &str, data: &Value) -> Outcome<Value> {
    let answer = at.apply("configmaps/a", manager, &with_data(data)).await?;
    holds("the answer", answer.is_success(), "success", &answer.text())?;
    Ok(answer.into_body())
}

/// The fields that a manager owns.
fn owned<'a>(object: &'a Value, manager: &str, operation: &str) -> &'a Value {
    let mut entries = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten();
    entries
        .find(|entry| entry["manager"] == manager && entry["operation"] == operation)
        .map_or(&Value::Null, |entry| &entry["fieldsV1"])
}

async fn what_is_missing_is_made(at: Place) -> Outcome {
    let answer = at.apply("configmaps/a", "m", &config_map("a")).await?;
    equal(
        "the data",
        answer.done(StatusCode::CREATED)?["data"].clone(),
        json!({"a": "1"}),
    )?;
    at.apply("configmaps/a", "m", &config_map("a"))
        .await?
        .has_code(200)
}

async fn the_manager_owns_what_it_applied(at: Place) -> Outcome {
    let applied = apply(&at, "m", &json!({"a": "1", "b": "2"})).await?;
    includes(
        &applied["metadata"]["managedFields"],
        &json!([{
            "manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}}}, "subresource": null,
        }]),
    )
}

async fn applying_the_same_changes_nothing(at: Place) -> Outcome {
    let first = apply(&at, "m", &json!({"a": "1"})).await?;
    equal("the object", apply(&at, "m", &json!({"a": "1"})).await?, first)
}

async fn a_field_of_another_manager_is_a_conflict(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1"})).await?;
    let answer = at
        .apply("configmaps/a", "n", &with_data(&json!({"a": "2"})))
        .await?;
    answer.refused(409, "Conflict")?;
    answer.says("Apply failed with 1 conflict: conflict with \"m\": .data.a")?;
    answer.names_cause(".data.a", "FieldManagerConflict")
}

async fn a_field_with_the_same_value_is_shared(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1"})).await?;
    let applied = apply(&at, "n", &json!({"a": "1"})).await?;
    for manager in ["m", "n"] {
        equal(
            manager,
            owned(&applied, manager, "Apply").clone(),
            json!({"f:data": {"f:a": {}}}),
        )?;
    }
    Ok(())
}

async fn several_conflicts_are_all_told(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1", "b": "1"})).await?;
    let answer = at
        .apply("configmaps/a", "n", &with_data(&json!({"a": "2", "b": "2"})))
        .await?;
    answer.refused(409, "Conflict")?;
    answer.says("Apply failed with 2 conflicts: conflicts with \"m\":\n- .data.a\n- .data.b")
}

async fn force_takes_the_field(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1", "b": "1"})).await?;
    let path = "configmaps/a?fieldManager=n&force=true";
    let forced = at
        .patch(path, Patch::Apply, &with_data(&json!({"a": "2"})))
        .await?
        .done(StatusCode::OK)?;
    equal("the data", forced["data"].clone(), json!({"a": "2", "b": "1"}))?;
    equal(
        "n",
        owned(&forced, "n", "Apply").clone(),
        json!({"f:data": {"f:a": {}}}),
    )?;
    equal(
        "m",
        owned(&forced, "m", "Apply").clone(),
        json!({"f:data": {"f:b": {}}}),
    )
}

async fn a_field_that_is_not_applied_any_more_is_removed(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1", "b": "1"})).await?;
    let applied = apply(&at, "m", &json!({"b": "1"})).await?;
    equal("the data", applied["data"].clone(), json!({"b": "1"}))
}

async fn a_shared_field_stays_while_somebody_applies_it(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1", "b": "1"})).await?;
    apply(&at, "n", &json!({"a": "1"})).await?;
    let applied = apply(&at, "m", &json!({"b": "1"})).await?;
    equal("the data", applied["data"].clone(), json!({"a": "1", "b": "1"}))?;
    let applied = apply(&at, "n", &json!({})).await?;
    equal("the data", applied["data"].clone(), json!({"b": "1"}))
}

async fn a_field_of_nobody_else_stays_after_an_update(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1"})).await?;
    at.merge("configmaps/a?fieldManager=u", &json!({"data": {"b": "1"}}))
        .await?;
    let applied = apply(&at, "m", &json!({"a": "2"})).await?;
    equal("the data", applied["data"].clone(), json!({"a": "2", "b": "1"}))
}

async fn an_update_owns_what_it_changes(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1", "b": "1"})).await?;
    let updated = at
        .merge("configmaps/a?fieldManager=u", &json!({"data": {"a": "2"}}))
        .await?;
    equal(
        "m",
        owned(&updated, "m", "Apply").clone(),
        json!({"f:data": {"f:b": {}}}),
    )?;
    equal(
        "u",
        owned(&updated, "u", "Update").clone(),
        json!({"f:data": {"f:a": {}}}),
    )
}

async fn an_update_conflicts_with_an_apply(at: Place) -> Outcome {
    at.create("configmaps?fieldManager=u", &config_map("a")).await?;
    let answer = at
        .apply("configmaps/a", "m", &with_data(&json!({"a": "2"})))
        .await?;
    answer.refused(409, "Conflict")?;
    answer.says("conflict with \"u\" using v1: .data.a")
}

async fn a_manager_is_required(at: Place) -> Outcome {
    let answer = at.patch("configmaps/a", Patch::Apply, &config_map("a")).await?;
    answer.refused(422, "Invalid")?;
    answer.says("fieldManager: Required value: is required for apply patch")
}

async fn owners_are_not_applied(at: Place) -> Outcome {
    let applied = apply(&at, "m", &json!({"a": "1"})).await?;
    let answer = at.apply("configmaps/a", "m", &applied).await?;
    answer.refused(400, "BadRequest")?;
    answer.says("metadata.managedFields must be nil")
}

async fn the_name_is_that_of_the_path(at: Place) -> Outcome {
    at.apply("configmaps/a", "m", &config_map("b"))
        .await?
        .refused(400, "BadRequest")
}

/// A Deployment with one container only.
fn with_container(container: &Value) -> Value {
    let mut object = deployment("a", 0, IDLE);
    object["spec"]["template"]["spec"]["containers"] = json!([container]);
    object
}

async fn containers_are_owned_by_name(at: Place) -> Outcome {
    at.apply(
        "deployments/a",
        "m",
        &with_container(&json!({"name": "c", "image": "x:1"})),
    )
    .await?
    .has_code(201)?;
    let second = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "template": {"spec": {"containers": [{"name": "d", "image": "y:1"}]}},
    }});
    let both = at
        .apply("deployments/a", "n", &second)
        .await?
        .done(StatusCode::OK)?;
    let spec = &both["spec"]["template"]["spec"];
    includes(&spec["containers"], &json!([{"name": "c"}, {"name": "d"}]))?;
    equal(
        "the fields of n",
        owned(&both, "n", "Apply")["f:spec"]["f:template"]["f:spec"]["f:containers"].clone(),
        json!({"k:{\"name\":\"d\"}": {".": {}, "f:image": {}, "f:name": {}}}),
    )
}

async fn a_list_of_texts_is_owned_as_a_whole(at: Place) -> Outcome {
    let with_args = |args: Value| with_container(&json!({"name": "c", "image": "x:1", "args": args}));
    at.apply("deployments/a", "m", &with_args(json!(["a"])))
        .await?
        .has_code(201)?;
    let answer = at
        .apply("deployments/a", "n", &with_args(json!(["a", "b"])))
        .await?;
    answer.refused(409, "Conflict")?;
    answer.names_cause(
        r#".spec.template.spec.containers[name="c"].args"#,
        "FieldManagerConflict",
    )
}

async fn finalizers_are_a_set(at: Place) -> Outcome {
    let holding = |finalizer: &str| over(config_map("a"), &json!({"metadata": {"finalizers": [finalizer]}}));
    at.apply("configmaps/a", "m", &holding("x.example/a"))
        .await?
        .has_code(201)?;
    let both = at
        .apply("configmaps/a", "n", &holding("x.example/b"))
        .await?
        .done(StatusCode::OK)?;
    at.merge("configmaps/a", &json!({"metadata": {"finalizers": null}}))
        .await?;
    equal(
        "the set",
        both["metadata"]["finalizers"].clone(),
        json!(["x.example/a", "x.example/b"]),
    )
}

async fn the_status_is_applied_by_its_subresource(at: Place) -> Outcome {
    let paused = over(deployment("a", 0, IDLE), &json!({"spec": {"paused": true}}));
    at.create("deployments", &paused).await?;
    let status = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "status": {
        "conditions": [{"type": "Tried", "status": "True"}],
    }});
    let applied = at
        .apply("deployments/a/status", "m", &status)
        .await?
        .done(StatusCode::OK)?;
    let mut entries = applied["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten();
    let own = entries
        .find(|entry| entry["manager"] == "m")
        .cloned()
        .unwrap_or_default();
    equal("the subresource", own["subresource"].clone(), "status")?;
    let is_there = crate::place::condition(&applied, "Tried") == "True";
    holds("the status", is_there, "the condition", &applied["status"])
}

async fn an_old_version_is_a_conflict(at: Place) -> Outcome {
    let first = apply(&at, "m", &json!({"a": "1"})).await?;
    apply(&at, "m", &json!({"a": "2"})).await?;
    let version = first["metadata"]["resourceVersion"].clone();
    let old = over(
        with_data(&json!({"a": "3"})),
        &json!({"metadata": {"resourceVersion": version}}),
    );
    at.apply("configmaps/a", "m", &old)
        .await?
        .refused(409, "Conflict")
}

async fn a_configuration_may_be_yaml(at: Place) -> Outcome {
    let body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  b: |\n    c\n".to_vec();
    let headers = [("content-type", "application/apply-patch+yaml")];
    let answer = at
        .send(Method::PATCH, "configmaps/a?fieldManager=m", &headers, body)
        .await?;
    equal(
        "the data",
        answer.done(StatusCode::CREATED)?["data"].clone(),
        json!({"b": "c\n"}),
    )
}

async fn owners_can_be_cleared(at: Place) -> Outcome {
    apply(&at, "m", &json!({"a": "1"})).await?;
    let cleared = at
        .merge("configmaps/a", &json!({"metadata": {"managedFields": [{}]}}))
        .await?;
    equal(
        "the owners",
        cleared["metadata"]["managedFields"].clone(),
        Value::Null,
    )
}

async fn an_unknown_field_is_refused(at: Place) -> Outcome {
    let unknown = over(config_map("a"), &json!({"dota": {"a": "b"}}));
    let answer = at.apply("configmaps/a", "m", &unknown).await?;
    answer.has_code(500)?;
    answer.says(".dota: field not declared in schema")?;
    at.get("configmaps/a").await?.refused(404, "NotFound")
}

async fn replicas_that_a_scale_has_set_are_its_own(at: Place) -> Outcome {
    at.apply(
        "deployments/a",
        "m",
        &over(deployment("a", 0, IDLE), &json!({"spec": {"paused": true}})),
    )
    .await?;
    at.merge(
        "deployments/a/scale?fieldManager=s",
        &json!({"spec": {"replicas": 1}}),
    )
    .await?;
    let answer = at.apply("deployments/a", "m", &deployment("a", 0, IDLE)).await?;
    answer.refused(409, "Conflict")?;
    answer.names_cause(".spec.replicas", "FieldManagerConflict")
}
