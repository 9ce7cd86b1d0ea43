//! The behaviours that the embedded cluster does not have, read from where its users read of them.

use crate::behaviour::{Failure, Outcome};

/// The page that lists them.
const PAGE: &str = include_str!("../../../docs/embedded-cluster.md");

/// The heading above the list.
const HEADING: &str = "## Behaviours that differ";

/// A behaviour that the embedded cluster does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDifference {
    /// The name of the behaviour.
    pub behaviour: String,
    /// Why the embedded cluster does not have it.
    pub reason: String,
}

/// The list in `docs/embedded-cluster.md`: a table of behaviours and reasons.
#[must_use]
pub fn known_differences() -> Vec<KnownDifference> {
    listed_in(PAGE)
}

/// Whether the behaviour differs as the list says; `is_listed` tells whether it is on the list.
///
/// # Errors
/// When it differs and is not listed, is listed and does not differ, or could not be looked at.
pub fn judged(outcome: Outcome, is_listed: bool) -> Outcome<bool> {
    match (outcome, is_listed) {
        (Ok(()), false) => Ok(false),
        (Ok(()), true) => Err(Failure::Stale),
        (Err(Failure::Differs { .. }), true) => Ok(true),
        (Err(failure), _) => Err(failure),
    }
}

fn listed_in(page: &str) -> Vec<KnownDifference> {
    let lines = page.lines().skip_while(|line| *line != HEADING).skip(1);
    lines
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| {
            let (behaviour, reason) = line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")?;
            Some(KnownDifference {
                behaviour: behaviour.to_owned(),
                reason: reason.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{behaviour::differs, behaviours};

    #[test]
    fn a_difference_has_to_be_listed_and_a_listed_one_has_to_differ() {
        let different = || Err(differs("it", "a", "b"));
        assert!(matches!(judged(Ok(()), false), Ok(false)));
        assert!(matches!(judged(different(), true), Ok(true)));
        assert!(matches!(judged(different(), false), Err(Failure::Differs { .. })));
        assert!(matches!(judged(Ok(()), true), Err(Failure::Stale)));
        let broken = || Err(Failure::Stream(std::io::Error::other("gone")));
        assert!(
            judged(broken(), true).is_err(),
            "what was not seen does not differ"
        );
    }

    #[test]
    fn the_list_is_the_table_under_its_heading() {
        let page = "## Other\n| `a::b` | no |\n## Behaviours that differ\n\n| Behaviour | Why |\n| --- | --- |\n\
                    | `c::d` | it cannot |\n\n## More\n| `e::f` | no |";
        let expected = KnownDifference {
            behaviour: "c::d".into(),
            reason: "it cannot".into(),
        };
        assert_eq!(listed_in(page), [expected]);
    }

    #[test]
    fn what_is_listed_is_a_behaviour_and_listed_once() {
        let names: HashSet<String> = behaviours().iter().map(crate::Behaviour::name).collect();
        let mut seen = HashSet::new();
        for known in known_differences() {
            assert!(
                names.contains(&known.behaviour),
                "{} is no behaviour",
                known.behaviour
            );
            assert!(
                seen.insert(known.behaviour.clone()),
                "{} stands there twice",
                known.behaviour
            );
        }
    }

    #[test]
    fn no_two_behaviours_have_one_name() {
        let mut seen = HashSet::new();
        for behaviour in behaviours() {
            assert!(seen.insert(behaviour.name()), "{}", behaviour.name());
        }
        assert!(seen.len() >= 150, "there are {} behaviours", seen.len());
    }
}
