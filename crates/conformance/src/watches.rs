//! Watches: which events come, in which order, and how they end.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds, includes},
    objects::{config_map, labelled},
    place::{Place, text},
    watch::Watch,
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        changes_after_a_version_come_in_order,
        without_a_version_what_exists_comes_first,
        version_zero_begins_with_what_exists,
        a_deletion_shows_the_last_state_at_a_new_version,
        what_changes_nothing_is_no_event,
        an_object_that_is_not_selected_any_more_is_deleted,
        an_object_that_is_selected_now_is_added,
        a_name_selects_one_object,
        the_path_of_an_object_is_not_watched,
        a_watch_ends_at_its_timeout,
        initial_events_end_with_a_bookmark,
        initial_events_want_a_match_of_versions,
        a_table_is_watched_row_by_row,
        metadata_is_watched_alone,
        a_version_that_is_none_is_refused,
        finalizers_make_a_deletion_two_events,
    ]
}

async fn version_of(at: &Place, resource: &str) -> Outcome<String> {
    Ok(text(&at.read(resource).await?, "/metadata/resourceVersion").to_owned())
}

/// A watch of the ConfigMaps from now on.
async fn from_now(at: &Place, more: &str) -> Outcome<Watch> {
    let version = version_of(at, "configmaps").await?;
    at.watch(&format!("configmaps?resourceVersion={version}{more}"))
        .await
}

/// The next event is of this type and about the object of this name.
async fn comes(watch: &mut Watch, kind: &str, name: &str) -> Outcome<Value> {
    let event = watch.next().await?;
    includes(
        &event,
        &json!({"type": kind, "object": {"metadata": {"name": name}}}),
    )?;
    Ok(event)
}

async fn change(at: &Place, name: &str) -> Outcome<Value> {
    at.merge(&format!("configmaps/{name}"), &json!({"data": {"a": "2"}}))
        .await
}

async fn changes_after_a_version_come_in_order(at: Place) -> Outcome {
    let version = version_of(&at, "configmaps").await?;
    at.create("configmaps", &config_map("a")).await?;
    change(&at, "a").await?;
    at.delete("configmaps/a").await?.has_code(200)?;
    let mut watch = at.watch(&format!("configmaps?resourceVersion={version}")).await?;
    let added = comes(&mut watch, "ADDED", "a").await?;
    equal("the first state", added["object"]["data"]["a"].clone(), "1")?;
    let modified = comes(&mut watch, "MODIFIED", "a").await?;
    equal("the second state", modified["object"]["data"]["a"].clone(), "2")?;
    comes(&mut watch, "DELETED", "a").await.map(drop)
}

async fn without_a_version_what_exists_comes_first(at: Place) -> Outcome {
    at.create("secrets", &json!({"metadata": {"name": "a"}})).await?;
    let mut watch = at.watch("secrets").await?;
    comes(&mut watch, "ADDED", "a").await?;
    at.create("secrets", &json!({"metadata": {"name": "b"}})).await?;
    comes(&mut watch, "ADDED", "b").await.map(drop)
}

async fn version_zero_begins_with_what_exists(at: Place) -> Outcome {
    at.create("secrets", &json!({"metadata": {"name": "a"}})).await?;
    let mut watch = at.watch("secrets?resourceVersion=0").await?;
    comes(&mut watch, "ADDED", "a").await.map(drop)
}

async fn a_deletion_shows_the_last_state_at_a_new_version(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let last = change(&at, "a").await?;
    let mut watch = from_now(&at, "").await?;
    at.delete("configmaps/a").await?.has_code(200)?;
    let deleted = comes(&mut watch, "DELETED", "a").await?;
    equal(
        "the data",
        deleted["object"]["data"].clone(),
        last["data"].clone(),
    )?;
    let version = |object: &Value| {
        text(object, "/metadata/resourceVersion")
            .parse::<u64>()
            .unwrap_or_default()
    };
    let (before, after) = (version(&last), version(&deleted["object"]));
    holds(
        "the version",
        after > before,
        &format!("greater than {before}"),
        &after,
    )
}

async fn what_changes_nothing_is_no_event(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    change(&at, "a").await?;
    let mut watch = from_now(&at, "").await?;
    change(&at, "a").await?;
    at.create("configmaps", &config_map("b")).await?;
    comes(&mut watch, "ADDED", "b").await.map(drop)
}

async fn relabel(at: &Place, name: &str, value: &Value) -> Outcome<Value> {
    at.merge(
        &format!("configmaps/{name}"),
        &json!({"metadata": {"labels": {"l": value}}}),
    )
    .await
}

async fn an_object_that_is_not_selected_any_more_is_deleted(at: Place) -> Outcome {
    at.create("configmaps", &labelled("a", &json!({"l": "x"})))
        .await?;
    let mut watch = from_now(&at, "&labelSelector=l%3Dx").await?;
    relabel(&at, "a", &"y".into()).await?;
    let event = comes(&mut watch, "DELETED", "a").await?;
    equal(
        "the label",
        event["object"]["metadata"]["labels"]["l"].clone(),
        "x",
    )
}

async fn an_object_that_is_selected_now_is_added(at: Place) -> Outcome {
    at.create("configmaps", &config_map("a")).await?;
    let mut watch = from_now(&at, "&labelSelector=l%3Dx").await?;
    relabel(&at, "a", &"x".into()).await?;
    comes(&mut watch, "ADDED", "a").await?;
    change(&at, "a").await?;
    comes(&mut watch, "MODIFIED", "a").await.map(drop)
}

async fn a_name_selects_one_object(at: Place) -> Outcome {
    let mut watch = from_now(&at, "&fieldSelector=metadata.name%3Db").await?;
    at.create("configmaps", &config_map("a")).await?;
    at.create("configmaps", &config_map("b")).await?;
    comes(&mut watch, "ADDED", "b").await.map(drop)
}

async fn the_path_of_an_object_is_not_watched(at: Place) -> Outcome {
    let made = at.create("configmaps", &config_map("a")).await?;
    equal("the answer", at.read("configmaps/a?watch=true").await?, made)
}

async fn a_watch_ends_at_its_timeout(at: Place) -> Outcome {
    let mut watch = from_now(&at, "&timeoutSeconds=1").await?;
    equal("the events", watch.types_until_end().await?, Vec::<String>::new())
}

async fn initial_events_end_with_a_bookmark(at: Place) -> Outcome {
    at.create("secrets", &json!({"metadata": {"name": "a"}})).await?;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = at.watch(&format!("secrets?{query}")).await?;
    comes(&mut watch, "ADDED", "a").await?;
    let bookmark = watch.next().await?;
    includes(
        &bookmark,
        &json!({"type": "BOOKMARK", "object": {"kind": "Secret", "metadata": {"annotations": {
            "k8s.io/initial-events-end": "true",
        }}}}),
    )?;
    let version = text(&bookmark["object"], "/metadata/resourceVersion");
    holds(
        "the version",
        version.parse::<u64>().is_ok(),
        "a number",
        &version,
    )
}

async fn initial_events_want_a_match_of_versions(at: Place) -> Outcome {
    let answer = at
        .get("secrets?watch=true&sendInitialEvents=true&timeoutSeconds=1")
        .await?;
    answer.refused(422, "Invalid")?;
    answer.says("resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
}

async fn a_table_is_watched_row_by_row(at: Place) -> Outcome {
    at.create("secrets", &json!({"metadata": {"name": "a"}})).await?;
    at.create("secrets", &json!({"metadata": {"name": "b"}})).await?;
    let mut watch = at
        .watch_as("secrets", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .await?;
    let first = watch.next().await?;
    let object = &first["object"];
    equal("the kind", object["kind"].clone(), "Table")?;
    equal(
        "the first column",
        object["columnDefinitions"][0]["name"].clone(),
        "Name",
    )?;
    equal("the first cell", object["rows"][0]["cells"][0].clone(), "a")?;
    let second = watch.next().await?;
    equal(
        "the second cell",
        second["object"]["rows"][0]["cells"][0].clone(),
        "b",
    )?;
    equal(
        "columns after the first event",
        second["object"]["columnDefinitions"].clone(),
        Value::Null,
    )
}

async fn metadata_is_watched_alone(at: Place) -> Outcome {
    at.create("secrets", &json!({"metadata": {"name": "a"}})).await?;
    let accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let mut watch = at.watch_as("secrets", accept).await?;
    let event = comes(&mut watch, "ADDED", "a").await?;
    includes(
        &event["object"],
        &json!({"kind": "PartialObjectMetadata", "type": null}),
    )
}

async fn a_version_that_is_none_is_refused(at: Place) -> Outcome {
    let answer = at
        .get("secrets?watch=true&timeoutSeconds=1&resourceVersion=now")
        .await?;
    answer.has_code(500)?;
    answer.says("resourceVersion: Invalid value: \"now\": strconv.ParseUint: parsing \"now\": invalid syntax")
}

async fn finalizers_make_a_deletion_two_events(at: Place) -> Outcome {
    let mut watch = from_now(&at, "").await?;
    let mut held = config_map("a");
    held["metadata"]["finalizers"] = json!(["x.example/hold"]);
    at.create("configmaps", &held).await?;
    at.delete("configmaps/a").await?.has_code(200)?;
    at.merge("configmaps/a", &json!({"metadata": {"finalizers": null}}))
        .await?;
    comes(&mut watch, "ADDED", "a").await?;
    let ending = comes(&mut watch, "MODIFIED", "a").await?;
    let time = text(&ending["object"], "/metadata/deletionTimestamp");
    holds("the time", !time.is_empty(), "one", &time)?;
    comes(&mut watch, "DELETED", "a").await.map(drop)
}
