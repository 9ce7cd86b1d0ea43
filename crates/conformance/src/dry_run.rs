//! Requests of which nothing is stored.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds},
    objects::{config_map, over, service},
    place::{Patch, Place, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        nothing_is_made,
        nothing_is_updated,
        nothing_is_patched,
        nothing_is_deleted,
        nothing_is_applied,
        what_would_be_refused_is_refused,
        a_name_is_made_for_show,
        every_other_value_is_refused,
        the_options_of_a_deletion_say_it_too,
    ]
}

async fn nothing_is_made(at: Place) -> Outcome {
    let shown = at.would_create("configmaps", &config_map("a")).await?;
    equal("the name", shown["metadata"]["name"].clone(), "a")?;
    equal(
        "the version",
        shown["metadata"]["resourceVersion"].clone(),
        Value::Null,
    )?;
    at.get("configmaps/a").await?.refused(404, "NotFound")
}

async fn is_as_made(at: &Place, made: &Value) -> Outcome {
    equal("the object", at.read("configmaps/a").await?, made.clone())
}

async fn nothing_is_updated(at: Place) -> Outcome {
    let made = at.create("configmaps", &config_map("a")).await?;
    let other = over(config_map("a"), &json!({"data": {"a": "2"}}));
    let shown = at.update("configmaps/a?dryRun=All", &other).await?;
    equal("what is shown", shown["data"]["a"].clone(), "2")?;
    is_as_made(&at, &made).await
}

async fn nothing_is_patched(at: Place) -> Outcome {
    let made = at.create("configmaps", &config_map("a")).await?;
    let shown = at
        .merge("configmaps/a?dryRun=All", &json!({"data": {"a": "2"}}))
        .await?;
    equal("what is shown", shown["data"]["a"].clone(), "2")?;
    is_as_made(&at, &made).await
}

async fn nothing_is_deleted(at: Place) -> Outcome {
    let made = at.create("configmaps", &config_map("a")).await?;
    at.delete("configmaps/a?dryRun=All").await?.has_code(200)?;
    is_as_made(&at, &made).await
}

async fn the_options_of_a_deletion_say_it_too(at: Place) -> Outcome {
    let made = at.create("configmaps", &config_map("a")).await?;
    at.delete_with("configmaps/a", &json!({"dryRun": ["All"]}))
        .await?
        .has_code(200)?;
    is_as_made(&at, &made).await
}

async fn nothing_is_applied(at: Place) -> Outcome {
    let path = "configmaps/a?dryRun=All&fieldManager=m";
    at.patch(path, Patch::Apply, &config_map("a"))
        .await?
        .has_code(201)?;
    at.get("configmaps/a").await?.refused(404, "NotFound")
}

async fn what_would_be_refused_is_refused(at: Place) -> Outcome {
    at.post(
        "services?dryRun=All",
        &json!({"metadata": {"name": "a"}, "spec": {}}),
    )
    .await?
    .refused(422, "Invalid")?;
    at.create("services", &service("a")).await?;
    at.post("services?dryRun=All", &service("a"))
        .await?
        .refused(409, "AlreadyExists")
}

async fn a_name_is_made_for_show(at: Place) -> Outcome {
    let shown = at
        .would_create("configmaps", &json!({"metadata": {"generateName": "a-"}}))
        .await?;
    let name = text(&shown, "/metadata/name");
    holds("the name", name.len() == 7, "a-…", &name)
}

async fn every_other_value_is_refused(at: Place) -> Outcome {
    let answer = at.post("configmaps?dryRun=Some", &config_map("a")).await?;
    answer.refused(422, "Invalid")?;
    answer.says("dryRun: Unsupported value")
}
