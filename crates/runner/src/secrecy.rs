//! What must never be seen in an output: passwords, auth strings, contents of Secrets.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::event::Event;

/// What stands for a secret.
const MASK: &str = "[secret]";

/// The fields of an event that are not texts: words of its format, and names that files and steps have
/// of old. Hidden in them, a secret like `passed` or `postgres` would leave no event, or one of no scenario.
const NOT_TEXTS: [&str; 7] = ["time", "event", "is", "verdict", "scenario", "scenarios", "step"];

/// A word shorter than this would hide half of every output and protect nothing.
const SHORTEST: usize = 4;

/// The secrets of a run. Clones know the same.
#[derive(Clone, Default)]
pub struct Secrets(Arc<RwLock<BTreeSet<Longest>>>);

/// Orders long secrets first, so that one which contains another is hidden whole.
#[derive(PartialEq, Eq)]
struct Longest(String);

impl Ord for Longest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other
            .0
            .len()
            .cmp(&self.0.len())
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Longest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Secrets {
    /// Hides `secret` from now on, as it is, in base64 and in a URL.
    pub fn learn(&self, secret: &str) {
        if secret.trim().len() < SHORTEST {
            return;
        }
        let in_url =
            percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.extend([secret.to_owned(), STANDARD.encode(secret), in_url].map(Longest));
    }

    /// Hides a secret of the form `user:password` and the password alone.
    pub fn learn_credentials(&self, credentials: &str) {
        self.learn(credentials);
        if let Some((_, password)) = credentials.split_once(':') {
            self.learn(password);
        }
    }

    /// `text` without what is secret.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(&secret.0) {
                text.replace(&secret.0, MASK)
            } else {
                text
            }
        })
    }

    /// `event` without what is secret.
    pub(crate) fn hide_in(&self, event: &Event) -> Event {
        let mut document = serde_json::to_value(event).expect("an event is a JSON object");
        self.hide_texts(&mut document);
        serde_json::from_value(document).expect("an event with other texts is an event")
    }

    fn hide_texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.hide(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_texts(item)),
            Value::Object(map) => {
                let texts = map
                    .iter_mut()
                    .filter(|(key, _)| !NOT_TEXTS.contains(&key.as_str()));
                texts.for_each(|(_, item)| self.hide_texts(item));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Happening, Outcome};

    #[test]
    fn a_secret_is_hidden_in_all_its_forms() {
        let secrets = Secrets::default();
        secrets.learn_credentials("admin:p@ss word");
        let shown = secrets.hide("admin:p@ss word, p@ss word, p%40ss%20word, YWRtaW46cEBzcyB3b3Jk");
        assert_eq!(shown, "[secret], [secret], [secret], [secret]");
    }

    #[test]
    fn short_words_and_users_are_not_secrets() {
        let secrets = Secrets::default();
        secrets.learn_credentials("admin:x");
        secrets.learn("no");
        assert_eq!(secrets.hide("admin says no: x"), "admin says no: x");
    }

    #[test]
    fn words_of_the_format_and_names_stay() {
        let secrets = Secrets::default();
        for secret in ["1970", "failed", "stepEnded", "passed", "postgres"] {
            secrets.learn(secret);
        }
        let ended = |seen: &str| Event {
            time: jiff::Timestamp::UNIX_EPOCH,
            scenario: Some("external-postgres".into()),
            what: Happening::StepEnded {
                step: "rows of postgres".into(),
                outcome: Outcome::Passed { seen: seen.into() },
                took: std::time::Duration::ZERO,
            },
        };
        assert_eq!(secrets.hide_in(&ended("1970 failed")), ended("[secret] [secret]"));
    }
}
