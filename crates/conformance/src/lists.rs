//! Lists, whole and in pages.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, holds},
    objects::labelled,
    place::{Place, items, names, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_list_is_of_its_kind,
        items_of_a_list_do_not_repeat_their_kind,
        a_list_is_in_the_order_of_names,
        a_list_of_nothing_has_no_items,
        a_page_says_what_remains,
        pages_are_the_whole_list_together,
        a_page_of_a_selection_does_not_count_what_remains,
        a_place_that_is_none_is_refused,
        a_list_that_continues_is_as_it_was,
        all_namespaces_are_listed_together,
    ]
}

/// ConfigMaps `a` to `e`.
async fn five(at: &Place) -> Outcome {
    for name in ["c", "a", "e", "b", "d"] {
        at.create("configmaps", &labelled(name, &json!({"of": "five"})))
            .await?;
    }
    Ok(())
}

/// The list without what the cluster itself puts into a namespace.
const FIVE: &str = "configmaps?labelSelector=of%3Dfive";

async fn a_list_is_of_its_kind(at: Place) -> Outcome {
    let list = at.read("deployments").await?;
    equal("kind", list["kind"].clone(), "DeploymentList")?;
    equal("version", list["apiVersion"].clone(), "apps/v1")?;
    let version = text(&list, "/metadata/resourceVersion");
    holds(
        "the version",
        version.parse::<u64>().is_ok(),
        "a number",
        &version,
    )
}

async fn items_of_a_list_do_not_repeat_their_kind(at: Place) -> Outcome {
    five(&at).await?;
    let list = at.read(FIVE).await?;
    equal("the kind", list["items"][0]["kind"].clone(), Value::Null)
}

async fn a_list_is_in_the_order_of_names(at: Place) -> Outcome {
    five(&at).await?;
    equal("the names", at.names(FIVE).await?, vec!["a", "b", "c", "d", "e"])
}

async fn a_list_of_nothing_has_no_items(at: Place) -> Outcome {
    equal("the items", at.read("jobs").await?["items"].clone(), json!([]))
}

/// ConfigMaps `a` to `e` and `kube-root-ca.crt`, two at a time.
async fn page(at: &Place, after: &str) -> Outcome<Value> {
    at.read(&format!("configmaps?limit=2&continue={after}")).await
}

async fn a_page_says_what_remains(at: Place) -> Outcome {
    five(&at).await?;
    let first = page(&at, "").await?;
    equal("the names", names(&first), vec!["a", "b"])?;
    equal("what remains", first["metadata"]["remainingItemCount"].clone(), 4)?;
    let after = text(&first, "/metadata/continue");
    holds("the place", !after.is_empty(), "one", &after)
}

async fn pages_are_the_whole_list_together(at: Place) -> Outcome {
    five(&at).await?;
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let list = page(&at, &after).await?;
        all.extend(names(&list));
        after = text(&list, "/metadata/continue")
            .replace('=', "%3D")
            .replace('/', "%2F");
        if after.is_empty() {
            break;
        }
    }
    equal(
        "the names",
        all,
        vec!["a", "b", "c", "d", "e", "kube-root-ca.crt"],
    )
}

async fn a_page_of_a_selection_does_not_count_what_remains(at: Place) -> Outcome {
    five(&at).await?;
    let first = at.read(&format!("{FIVE}&limit=2")).await?;
    equal("the number", items(&first).len(), 2)?;
    equal(
        "what remains",
        first["metadata"]["remainingItemCount"].clone(),
        Value::Null,
    )
}

async fn a_place_that_is_none_is_refused(at: Place) -> Outcome {
    at.get("configmaps?limit=2&continue=nowhere")
        .await?
        .refused(400, "BadRequest")
}

async fn a_list_that_continues_is_as_it_was(at: Place) -> Outcome {
    five(&at).await?;
    let first = page(&at, "").await?;
    at.create("configmaps", &labelled("bb", &json!({}))).await?;
    let after = text(&first, "/metadata/continue")
        .replace('=', "%3D")
        .replace('/', "%2F");
    equal("the names", names(&page(&at, &after).await?), vec!["c", "d"])
}

async fn all_namespaces_are_listed_together(at: Place) -> Outcome {
    five(&at).await?;
    let list = at.read("/api/v1/configmaps").await?;
    let own = items(&list)
        .iter()
        .filter(|item| text(item, "/metadata/namespace") == at.namespace());
    equal("those of the namespace", own.count(), 6)?;
    let others = items(&list)
        .iter()
        .any(|item| text(item, "/metadata/namespace") == "kube-system");
    holds("those of another namespace", others, "some", &others)
}
