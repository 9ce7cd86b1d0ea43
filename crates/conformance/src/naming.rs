//! Names that the server makes.

use serde_json::json;

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds},
    place::{Place, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_generated_name_is_a_prefix_and_five_characters,
        generated_names_differ,
        a_name_comes_before_a_generated_one,
        a_long_prefix_is_cut,
    ]
}

async fn a_generated_name_is_a_prefix_and_five_characters(at: Place) -> Outcome {
    let made = at
        .create("configmaps", &json!({"metadata": {"generateName": "a-"}}))
        .await?;
    let name = text(&made, "/metadata/name");
    let is_so = name.strip_prefix("a-").is_some_and(|rest| rest.len() == 5);
    holds("the name", is_so, "a-…", &name)?;
    equal("the prefix", made["metadata"]["generateName"].clone(), "a-")
}

async fn generated_names_differ(at: Place) -> Outcome {
    for _ in 0..5 {
        at.create(
            "configmaps",
            &json!({"metadata": {"generateName": "a-", "labels": {"a": "b"}}}),
        )
        .await?;
    }
    let mut names = at.names("configmaps?labelSelector=a").await?;
    names.dedup();
    equal("the number of names", names.len(), 5)
}

async fn a_name_comes_before_a_generated_one(at: Place) -> Outcome {
    let made = at
        .create(
            "configmaps",
            &json!({"metadata": {"name": "b", "generateName": "a-"}}),
        )
        .await?;
    equal("the name", made["metadata"]["name"].clone(), "b")
}

async fn a_long_prefix_is_cut(at: Place) -> Outcome {
    let prefix = "a".repeat(70);
    let made = at
        .create("configmaps", &json!({"metadata": {"generateName": prefix}}))
        .await?;
    equal("the length", text(&made, "/metadata/name").len(), 63)
}
