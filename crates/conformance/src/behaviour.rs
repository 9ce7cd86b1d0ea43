//! What a behaviour is, and how it says that a cluster differs from it.

use std::pin::Pin;

use serde_json::Value;

use crate::place::Place;

/// Whether a cluster behaves so.
pub type Outcome<T = ()> = Result<T, Failure>;

type Run = dyn Fn(Place) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

/// One thing that Kubernetes does.
pub struct Behaviour {
    area: &'static str,
    sentence: String,
    run: Box<Run>,
}

impl Behaviour {
    /// A behaviour of the area that the module at `module_path` is about.
    pub(crate) fn new<F>(
        module_path: &'static str,
        sentence: &str,
        run: impl Fn(Place) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            area: module_path.rsplit("::").next().unwrap_or(module_path),
            sentence: sentence.to_owned(),
            run: Box::new(move |place| Box::pin(run(place))),
        }
    }

    /// `area::what_it_does`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}::{}", self.area, self.sentence)
    }

    /// Looks whether the cluster behaves so, in a namespace that is the behaviour's own.
    ///
    /// # Errors
    /// When it does not, or does not answer.
    pub async fn observe(&self, place: Place) -> Outcome {
        (self.run)(place).await
    }
}

/// The behaviours that are the functions of these names.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::behaviour::Behaviour::new(module_path!(), stringify!($name), $name)),*]
    };
}
pub(crate) use behaviours;

/// Why a behaviour was not seen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The cluster does something else.
    #[error("{about} differs\n  expected  {expected}\n  found     {found}")]
    Differs {
        /// What was looked at.
        about: String,
        /// What Kubernetes does.
        expected: String,
        /// What this cluster does.
        found: String,
    },
    /// The behaviour is listed as a difference, and is none.
    #[error("it does not differ any more: docs/embedded-cluster.md still lists it")]
    Stale,
    /// The cluster could not be asked.
    #[error("the cluster does not answer")]
    Request(#[from] kube::Error),
    /// A stream of the cluster broke.
    #[error("a stream of the cluster broke")]
    Stream(#[from] std::io::Error),
}

/// A difference between what Kubernetes does and what was found.
pub(crate) fn differs(
    about: &str,
    expected: &(impl ToString + ?Sized),
    found: &(impl ToString + ?Sized),
) -> Failure {
    Failure::Differs {
        about: about.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

/// `found` is what is expected.
pub(crate) fn equal(about: &str, found: impl Into<Value>, expected: impl Into<Value>) -> Outcome {
    let (found, expected) = (found.into(), expected.into());
    if found == expected {
        Ok(())
    } else {
        Err(differs(about, &expected, &found))
    }
}

/// `found` is as `expected` says in words.
pub(crate) fn holds(about: &str, holds: bool, expected: &str, found: &impl ToString) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(differs(about, expected, found))
    }
}

/// `found` contains the text.
pub(crate) fn contains(about: &str, found: &str, part: &str) -> Outcome {
    holds(about, found.contains(part), &format!("…{part}…"), &found)
}

/// `found` has all fields of `expected`; lists have the same length, and a null is a field that is absent.
pub(crate) fn includes(found: &Value, expected: &Value) -> Outcome {
    include(found, expected, "").map_or(Ok(()), Err)
}

fn include(found: &Value, expected: &Value, place: &str) -> Option<Failure> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected.iter().find_map(|(key, value)| {
            include(
                found.get(key).unwrap_or(&Value::Null),
                value,
                &format!("{place}/{key}"),
            )
        }),
        (Value::Array(items), Value::Array(wanted)) if items.len() == wanted.len() => items
            .iter()
            .zip(wanted)
            .enumerate()
            .find_map(|(index, (item, wanted))| include(item, wanted, &format!("{place}/{index}"))),
        _ if found == expected => None,
        _ => Some(differs(place, expected, found)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_are_not_expected_may_be_there() {
        let found = json!({"a": 1, "b": {"c": [1, {"d": 2, "e": 3}]}});
        assert!(includes(&found, &json!({"b": {"c": [1, {"d": 2}]}, "none": null})).is_ok());
    }

    #[test]
    fn a_difference_names_its_place_and_both_sides() {
        let found = json!({"b": {"c": [1, {"d": 2}]}});
        let difference = includes(&found, &json!({"b": {"c": [1, {"d": 3}]}})).unwrap_err();
        assert_eq!(
            difference.to_string(),
            "/b/c/1/d differs\n  expected  3\n  found     2"
        );
        assert!(
            includes(&found, &json!({"b": {"c": [1]}})).is_err(),
            "a list that is longer"
        );
        assert!(
            includes(&found, &json!({"x": false})).is_err(),
            "a field that is absent"
        );
    }

    #[test]
    fn what_is_unlike_is_seen() {
        assert!(equal("it", 1, 2).is_err());
        assert!(holds("it", false, "that it holds", &"nothing").is_err());
        assert!(contains("it", "abc", "d").is_err());
    }
}
