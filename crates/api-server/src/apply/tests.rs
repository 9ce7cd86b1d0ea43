use proptest::prelude::*;
use serde_json::json;

use super::*;

fn applier(name: &str) -> Writer {
    Writer {
        name: name.to_owned(),
        operation: "Apply",
        subresource: None,
    }
}

fn updater(name: &str) -> Writer {
    Writer {
        operation: "Update",
        ..applier(name)
    }
}

fn config(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "1"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    })
}

fn image(object: &Value) -> &Value {
    &object["spec"]["containers"][0]["image"]
}

#[test]
fn what_a_manager_no_longer_applies_is_removed() {
    let live = initial(&config("one"), &applier("me"));
    let mut next = config("one");
    next["metadata"]["labels"] = json!({"y": "2"});
    let applied = apply(&live, &next, &applier("me"), false).unwrap();
    assert_eq!(applied["metadata"]["labels"], json!({"y": "2"}));
}

#[test]
fn a_field_of_another_manager_is_a_conflict_unless_forced() {
    let live = initial(&config("one"), &applier("me"));
    let error = apply(&live, &config("two"), &applier("you"), false).unwrap_err();
    assert_eq!(error.code(), http::StatusCode::CONFLICT);
    assert_eq!(
        error.message(),
        r#"Apply failed with 1 conflict: conflict with "me": .spec.containers[name="c"].image"#
    );
    let forced = apply(&live, &config("two"), &applier("you"), true).unwrap();
    assert_eq!(*image(&forced), "two");
    assert!(
        apply(&forced, &config("one"), &applier("me"), false).is_err(),
        "the field changed hands"
    );
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let live = initial(&config("one"), &applier("me"));
    let mut other = config("two");
    other["metadata"]["labels"]["x"] = "2".into();
    let error = apply(&live, &other, &applier("you"), false).unwrap_err();
    assert_eq!(
        error.message(),
        "Apply failed with 2 conflicts: conflicts with \"me\":\n\
         - .metadata.labels.x\n- .spec.containers[name=\"c\"].image"
    );
}

#[test]
fn agreeing_managers_share_a_field() {
    let live = initial(&config("one"), &applier("me"));
    let shared = apply(&live, &config("one"), &applier("you"), false).unwrap();
    let nothing = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let left = apply(&shared, &nothing, &applier("me"), false).unwrap();
    assert_eq!(*image(&left), "one");
    let alone = apply(&left, &nothing, &applier("you"), false).unwrap();
    assert_eq!(alone.get("spec"), None);
}

#[test]
fn the_same_apply_twice_changes_nothing() {
    let live = initial(&config("one"), &applier("me"));
    assert_eq!(apply(&live, &config("one"), &applier("me"), false).unwrap(), live);
}

#[test]
fn an_item_goes_with_its_defaults_unless_another_manager_fills_it() {
    let mut two = config("one");
    let containers = |object: &mut Value| object["spec"]["containers"].as_array_mut().unwrap().clone();
    two["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "d", "image": "x"}));
    let mut live = initial(&two, &applier("me"));
    live["spec"]["containers"][1]["imagePullPolicy"] = "Always".into();
    let mut applied = apply(&live, &config("one"), &applier("me"), false).unwrap();
    assert_eq!(containers(&mut applied).len(), 1);

    let mut filled = live.clone();
    filled["spec"]["containers"][1]["tty"] = true.into();
    track(&mut filled, Some(&live), &updater("other"));
    let mut applied = apply(&filled, &config("one"), &applier("me"), false).unwrap();
    assert_eq!(containers(&mut applied)[1]["tty"], true);
}

#[test]
fn an_update_takes_the_fields_that_it_changes() {
    let live = initial(&config("one"), &applier("me"));
    let mut updated = live.clone();
    updated["spec"]["containers"][0]["image"] = "three".into();
    track(&mut updated, Some(&live), &updater("kubectl"));
    let error = apply(&updated, &config("one"), &applier("me"), false).unwrap_err();
    let expected = r#"conflict with "kubectl" using v1: .spec.containers[name="c"].image"#;
    assert!(error.message().contains(expected), "{}", error.message());
}

#[test]
fn an_update_that_leaves_the_record_out_does_not_drop_it() {
    let live = initial(&config("one"), &applier("me"));
    let mut updated = live.clone();
    updated["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    track(&mut updated, Some(&live), &updater("kubectl"));
    assert_eq!(updated, live);
}

#[test]
fn ports_differ_by_protocol() {
    let with = |ports: Value| json!({"metadata": {"name": "a"}, "spec": {"ports": ports}});
    let live = initial(&with(json!([{"port": 53}])), &applier("me"));
    let both = with(json!([{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]));
    let applied = apply(&live, &both, &applier("me"), false).unwrap();
    assert_eq!(applied["spec"]["ports"].as_array().unwrap().len(), 2);
}

fn configs() -> impl Strategy<Value = Value> {
    let container = (
        "[a-c]",
        prop::option::of("[x-z]"),
        prop::collection::btree_map("[A-C]", "[0-2]", 0..3),
    );
    let containers = prop::collection::vec(container, 0..3);
    (containers, prop::collection::btree_map("[a-c]", "[0-2]", 0..3)).prop_map(|(containers, labels)| {
        let mut names = std::collections::BTreeMap::new();
        for (name, image, env) in containers {
            let env: Vec<Value> = env
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            let mut container = json!({"name": name, "env": env});
            if let Some(image) = image {
                container["image"] = image.into();
            }
            names.insert(name, container);
        }
        let containers: Vec<Value> = names.into_values().collect();
        json!({"metadata": {"name": "a", "labels": labels}, "spec": {"containers": containers}})
    })
}

proptest! {
    #[test]
    fn one_applier_gets_what_it_last_asked_for(first in configs(), second in configs()) {
        let live = initial(&first, &applier("me"));
        let applied = apply(&live, &second, &applier("me"), false).unwrap();
        let missing = Difference::between(&applied, &second).written;
        prop_assert!(missing.is_empty(), "{:?}", missing);
        let again = apply(&applied, &second, &applier("me"), false).unwrap();
        prop_assert_eq!(again, applied);
    }

    #[test]
    fn forced_appliers_never_conflict_with_what_they_share(first in configs(), second in configs()) {
        let live = initial(&first, &applier("me"));
        let forced = apply(&live, &second, &applier("you"), true).unwrap();
        prop_assert!(apply(&forced, &second, &applier("you"), false).is_ok());
        prop_assert!(apply(&forced, &second, &applier("me"), false).is_ok());
    }
}
