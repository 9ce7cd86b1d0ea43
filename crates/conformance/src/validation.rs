//! Which requests are refused, with which code and for which reason.

use http::Method;
use serde_json::{Value, json};

use crate::{
    answer::{INVALID, REQUIRED},
    behaviour::{Behaviour, Outcome, behaviours, contains, equal},
    objects::{IDLE, config_map, deployment, over, pod_with},
    place::{Patch, Place},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
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
