//! Versions of objects, and requests that hold only for one of them.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds},
    objects::{config_map, over},
    place::{Patch, Place, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        an_update_of_an_old_version_is_a_conflict,
        an_update_without_a_version_is_unconditional,
        an_update_of_another_uid_is_a_conflict,
        a_patch_of_an_old_version_is_a_conflict,
        a_deletion_of_another_uid_is_a_conflict,
        a_deletion_of_an_old_version_is_a_conflict,
        a_deletion_of_this_version_is_done,
        versions_grow_with_each_change,
        a_change_that_changes_nothing_keeps_the_version,
        a_new_object_has_no_version_yet,
        a_creation_time_stays,
        a_generation_is_one_of_the_spec,
    ]
}

fn version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion")
        .parse()
        .unwrap_or_default()
}

/// An object, and how it was before its last change.
async fn changed(at: &Place) -> Outcome<(Value, Value)> {
    let before = at.create("configmaps", &config_map("a")).await?;
    let after = at.merge("configmaps/a", &json!({"data": {"b": "2"}})).await?;
    Ok((before, after))
}

async fn an_update_of_an_old_version_is_a_conflict(at: Place) -> Outcome {
    let (before, _) = changed(&at).await?;
    let answer = at
        .put("configmaps/a", &over(before, &json!({"data": {"a": "3"}})))
        .await?;
    answer.refused(409, "Conflict")?;
    answer.says(
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your \
         changes to the latest version and try again",
    )
}

async fn an_update_without_a_version_is_unconditional(at: Place) -> Outcome {
    changed(&at).await?;
    let updated = at.update("configmaps/a", &config_map("a")).await?;
    equal("the data", updated["data"].clone(), json!({"a": "1"}))
}

async fn an_update_of_another_uid_is_a_conflict(at: Place) -> Outcome {
    changed(&at).await?;
    let other = over(
        config_map("a"),
        &json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}}),
    );
    at.put("configmaps/a", &other).await?.refused(409, "Conflict")
}

async fn a_patch_of_an_old_version_is_a_conflict(at: Place) -> Outcome {
    let (before, _) = changed(&at).await?;
    let patch =
        json!({"metadata": {"resourceVersion": before["metadata"]["resourceVersion"]}, "data": {"c": "3"}});
    at.patch("configmaps/a", Patch::Merge, &patch)
        .await?
        .refused(409, "Conflict")
}

async fn a_deletion_of_another_uid_is_a_conflict(at: Place) -> Outcome {
    changed(&at).await?;
    let options = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
    let answer = at.delete_with("configmaps/a", &options).await?;
    answer.refused(409, "Conflict")?;
    answer.says(
        "the UID in the precondition (00000000-0000-0000-0000-000000000000) does not match the UID in record",
    )
}

async fn a_deletion_of_an_old_version_is_a_conflict(at: Place) -> Outcome {
    let (before, _) = changed(&at).await?;
    let options = json!({"preconditions": {"resourceVersion": before["metadata"]["resourceVersion"]}});
    at.delete_with("configmaps/a", &options)
        .await?
        .refused(409, "Conflict")
}

async fn a_deletion_of_this_version_is_done(at: Place) -> Outcome {
    let (_, after) = changed(&at).await?;
    let metadata = &after["metadata"];
    let preconditions = json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
    at.delete_with("configmaps/a", &json!({"preconditions": preconditions}))
        .await?
        .has_code(200)?;
    at.get("configmaps/a").await?.refused(404, "NotFound")
}

async fn versions_grow_with_each_change(at: Place) -> Outcome {
    let (before, after) = changed(&at).await?;
    let list = version(&at.read("configmaps").await?);
    let found = format!(
        "{} then {}, and {list} of the list",
        version(&before),
        version(&after)
    );
    let grow = version(&before) < version(&after) && version(&after) <= list;
    holds("the versions", grow, "growing numbers", &found)
}

async fn a_change_that_changes_nothing_keeps_the_version(at: Place) -> Outcome {
    let (_, after) = changed(&at).await?;
    let same = at.update("configmaps/a", &after).await?;
    equal("after an update", version(&same), version(&after))?;
    let same = at.merge("configmaps/a", &json!({"data": {"b": "2"}})).await?;
    equal("after a patch", version(&same), version(&after))
}

async fn a_new_object_has_no_version_yet(at: Place) -> Outcome {
    let versioned = over(config_map("a"), &json!({"metadata": {"resourceVersion": "1"}}));
    let answer = at.post("configmaps", &versioned).await?;
    answer.has_code(500)?;
    answer.says("resourceVersion should not be set on objects to be created")
}

async fn a_creation_time_stays(at: Place) -> Outcome {
    let (_, after) = changed(&at).await?;
    let patch = json!({"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}});
    equal("the object", at.merge("configmaps/a", &patch).await?, after)
}

async fn a_generation_is_one_of_the_spec(at: Place) -> Outcome {
    let made = crate::objects::deployment("a", 0, crate::objects::IDLE);
    at.create("deployments", &over(made, &json!({"spec": {"paused": true}})))
        .await?;
    let labelled = at
        .merge("deployments/a", &json!({"metadata": {"labels": {"b": "c"}}}))
        .await?;
    equal("after a label", labelled["metadata"]["generation"].clone(), 1)?;
    let scaled = at
        .merge("deployments/a", &json!({"spec": {"minReadySeconds": 1}}))
        .await?;
    equal(
        "after a change of the spec",
        scaled["metadata"]["generation"].clone(),
        2,
    )
}
