//! Label and field selectors.

use serde_json::json;

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal},
    objects::{asleep, labelled},
    place::Place,
};

/// A label selector, and which of the objects below it selects.
const LABELS: [(&str, &str, &[&str]); 12] = [
    ("equal_values", "app=web", &["a", "b"]),
    ("equal_values_by_two_signs", "app==db", &["c"]),
    ("unequal_values_and_missing_ones", "app!=web", &["c", "d"]),
    ("values_of_a_set", "app in (web,db)", &["a", "b", "c"]),
    (
        "values_outside_a_set_and_missing_ones",
        "app notin (web)",
        &["c", "d"],
    ),
    ("keys_that_exist", "tier", &["a", "c"]),
    ("keys_that_do_not", "!tier", &["b", "d"]),
    ("all_of_several", "app=web,tier in (front, back)", &["a"]),
    ("a_prefixed_key", "example.com/team=x", &["d"]),
    ("a_greater_number", "size>5", &["b"]),
    ("a_smaller_number", "size<5", &["a"]),
    ("an_empty_value", "empty=", &["c"]),
];

/// What is no label selector.
const MALFORMED: [(&str, &str); 5] = [
    ("a_set_without_an_end_is_refused", "app in (web"),
    ("a_set_without_parentheses_is_refused", "app in web"),
    ("a_key_of_nothing_is_refused", "=web"),
    ("a_value_that_is_no_label_is_refused", "app=no spaces"),
    ("a_number_that_is_none_is_refused", "size>big"),
];

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let labels = LABELS.map(|(sentence, selector, expected)| {
        Behaviour::new(module_path!(), sentence, move |at| {
            selects(at, selector, expected)
        })
    });
    let malformed = MALFORMED.map(|(sentence, selector)| {
        Behaviour::new(module_path!(), sentence, move |at| is_refused(at, selector))
    });
    let mut all = behaviours![
        a_name_is_a_field,
        an_unequal_name_is_one_too,
        the_phase_of_a_pod_is_a_field,
        the_node_of_a_pod_is_a_field,
        the_type_of_a_secret_is_a_field,
        the_object_of_an_event_is_a_field,
        other_fields_are_refused,
        a_field_without_a_value_is_refused,
        fields_and_labels_select_together,
    ];
    all.extend(labels);
    all.extend(malformed);
    all
}

async fn create_four(at: &Place) -> Outcome {
    let labels = [
        ("a", json!({"app": "web", "tier": "front", "size": "1"})),
        ("b", json!({"app": "web", "size": "10"})),
        ("c", json!({"app": "db", "tier": "back", "empty": ""})),
        ("d", json!({"example.com/team": "x"})),
    ];
    for (name, labels) in labels {
        at.create("secrets", &json!({"metadata": {"name": name, "labels": labels}}))
            .await?;
    }
    Ok(())
}

/// A selector as a parameter of a query has it.
fn encoded(selector: &str) -> String {
    let escaped = selector.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    escaped.collect()
}

async fn selects(at: Place, selector: &'static str, expected: &'static [&'static str]) -> Outcome {
    create_four(&at).await?;
    equal(
        selector,
        at.names(&format!("secrets?labelSelector={}", encoded(selector)))
            .await?,
        expected.to_vec(),
    )
}

async fn is_refused(at: Place, selector: &'static str) -> Outcome {
    let answer = at
        .get(&format!("secrets?labelSelector={}", encoded(selector)))
        .await?;
    answer.refused(400, "BadRequest")
}

async fn by_fields(at: &Place, resource: &str, selector: &str) -> Outcome<Vec<String>> {
    at.names(&format!("{resource}?fieldSelector={}", encoded(selector)))
        .await
}

async fn a_name_is_a_field(at: Place) -> Outcome {
    create_four(&at).await?;
    equal(
        "the names",
        by_fields(&at, "secrets", "metadata.name=b").await?,
        vec!["b"],
    )?;
    let both = format!("metadata.name=b,metadata.namespace={}", at.namespace());
    equal("the names", by_fields(&at, "secrets", &both).await?, vec!["b"])
}

async fn an_unequal_name_is_one_too(at: Place) -> Outcome {
    create_four(&at).await?;
    equal(
        "the names",
        by_fields(&at, "secrets", "metadata.name!=b").await?,
        vec!["a", "c", "d"],
    )
}

async fn the_phase_of_a_pod_is_a_field(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
    equal(
        "pending",
        by_fields(&at, "pods", "status.phase=Pending").await?,
        vec!["a"],
    )?;
    equal(
        "not pending",
        by_fields(&at, "pods", "status.phase!=Pending").await?,
        Vec::<String>::new(),
    )
}

async fn the_node_of_a_pod_is_a_field(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
    equal(
        "without a node",
        by_fields(&at, "pods", "spec.nodeName=").await?,
        vec!["a"],
    )
}

async fn the_type_of_a_secret_is_a_field(at: Place) -> Outcome {
    create_four(&at).await?;
    at.create(
        "secrets",
        &json!({"metadata": {"name": "e"}, "type": "example.com/e"}),
    )
    .await?;
    equal(
        "the names",
        by_fields(&at, "secrets", "type=example.com/e").await?,
        vec!["e"],
    )
}

async fn the_object_of_an_event_is_a_field(at: Place) -> Outcome {
    for name in ["a", "b"] {
        let object = json!({"kind": "Pod", "name": name, "namespace": at.namespace(), "apiVersion": "v1"});
        let event =
            json!({"metadata": {"name": name}, "involvedObject": object, "reason": "R", "type": "Normal"});
        at.create("events", &event).await?;
    }
    equal(
        "the names",
        by_fields(&at, "events", "involvedObject.name=b,reason=R").await?,
        vec!["b"],
    )
}

async fn other_fields_are_refused(at: Place) -> Outcome {
    let answer = at.get("secrets?fieldSelector=data.a%3Db").await?;
    answer.refused(400, "BadRequest")?;
    answer.says("field label not supported: data.a")
}

async fn a_field_without_a_value_is_refused(at: Place) -> Outcome {
    at.get("secrets?fieldSelector=metadata.name")
        .await?
        .refused(400, "BadRequest")
}

async fn fields_and_labels_select_together(at: Place) -> Outcome {
    create_four(&at).await?;
    let query = format!(
        "fieldSelector={}&labelSelector={}",
        encoded("metadata.name!=a"),
        encoded("app=web")
    );
    equal(
        "the names",
        at.names(&format!("secrets?{query}")).await?,
        vec!["b"],
    )?;
    at.create("configmaps", &labelled("a", &json!({"app": "web"})))
        .await?;
    equal(
        "the names",
        at.names("configmaps?labelSelector=app").await?,
        vec!["a"],
    )
}
