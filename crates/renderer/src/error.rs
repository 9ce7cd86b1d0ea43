//! What can be wrong with values, and with rendering them.

use std::fmt;

use crate::yaml::YamlError;

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A file's path, a `--set` expression, or what the caller called the layer
    pub origin: String,
    /// Line and column, both from 1, where the origin is a text
    pub position: Option<(u64, u64)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.origin),
            None => f.write_str(&self.origin),
        }
    }
}

/// Values that the chart does not take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValuesError {
    /// A text that is not YAML, or has a key twice
    #[error("{place}: not valid YAML")]
    Yaml {
        /// Where the text breaks
        place: Place,
        /// What the parser says
        #[source]
        source: YamlError,
    },
    /// A layer that is not a mapping of keys
    #[error("{place}: the top level is {found}, allowed is a mapping of the chart's keys")]
    NoMapping {
        /// Where it is
        place: Place,
        /// What is there
        found: String,
    },
    /// A key that the chart does not have
    #[error("{place}: unknown key `{key}`{}", suggestion(nearest.as_deref(), known))]
    UnknownKey {
        /// Where it is
        place: Place,
        /// The whole key, with dots
        key: String,
        /// The known key that is spelt most alike
        nearest: Option<String>,
        /// All keys known there
        known: Vec<String>,
    },
    /// A value of the wrong type or outside what is allowed
    #[error("{place}: `{key}` is {found}, allowed is {allowed}")]
    NotAllowed {
        /// Where it is
        place: Place,
        /// The whole key, with dots
        key: String,
        /// What is there
        found: String,
        /// What may be there
        allowed: String,
    },
    /// A key without which the chart cannot be rendered
    #[error("{place}: `{key}` is missing: {reason}")]
    Missing {
        /// Where it is missing
        place: Place,
        /// The whole key, with dots
        key: String,
        /// Who needs it
        reason: &'static str,
    },
    /// A key that the chart had once
    #[error("{place}: `{key}` has been removed from the chart; {instead}")]
    Removed {
        /// Where it is
        place: Place,
        /// The whole key, with dots
        key: String,
        /// What to use
        instead: &'static str,
    },
    /// A setting of the bundled PostgreSQL that is not implemented
    #[error(
        "{place}: `{key}` is not implemented by this renderer; `--chart PATH` renders the real chart with helm"
    )]
    Unsupported {
        /// Where it is
        place: Place,
        /// The whole key, with dots
        key: String,
    },
    /// A `--set` expression that cannot be read
    #[error("--set `{expression}`, column {column}: {problem}")]
    Expression {
        /// The expression
        expression: String,
        /// Column from 1
        column: usize,
        /// What is wrong there
        problem: String,
    },
}

impl ValuesError {
    /// The whole key that is to blame, with dots, where one is.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. }
            | Self::NotAllowed { key, .. }
            | Self::Missing { key, .. }
            | Self::Removed { key, .. }
            | Self::Unsupported { key, .. } => Some(key),
            Self::Yaml { .. } | Self::NoMapping { .. } | Self::Expression { .. } => None,
        }
    }
}

/// What to write instead of something unknown, to follow its message.
pub(crate) fn suggestion(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known are {}", known.join(", ")),
    }
}

/// Values that can be read but not rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A name that helm does not take for a release
    #[error(
        "the release's name is `{name}`, allowed are at most 53 lower-case letters, digits, dashes and dots, with a letter or digit at both ends"
    )]
    ReleaseName {
        /// The name found
        name: String,
    },
    /// A part of the database's connection string is missing
    #[error("`{key}` is required to write the connection string of the database")]
    Required {
        /// The whole key, with dots
        key: &'static str,
    },
    /// Background services of a Prefect too old, or of an unclear age
    #[error(
        "`global.prefect.image.prefectTag` is `{tag}`, but `backgroundServices.runAsSeparateDeployment` needs {need}"
    )]
    PrefectVersion {
        /// The tag found
        tag: String,
        /// What the tag must be
        need: &'static str,
    },
    /// An expression in a value cannot be evaluated
    #[error("`{key}`: in the template `{template}`, column {column}: {problem}")]
    Template {
        /// The whole key of the value, with dots
        key: String,
        /// The value
        template: String,
        /// Column from 1 in the value
        column: usize,
        /// What is wrong there, and what is known
        problem: String,
    },
    /// A value that leads to an object that is not YAML
    #[error("`{key}` leads to invalid YAML")]
    Yaml {
        /// The whole key of the value, with dots
        key: String,
        /// What the parser says
        #[source]
        source: YamlError,
    },
    /// A value of a form that the chart's templates fail on
    #[error("`{key}` {problem}")]
    Refused {
        /// The whole key, with dots
        key: String,
        /// What the chart's templates trip over
        problem: String,
    },
}

impl RenderError {
    /// The whole key that is to blame, with dots, where one is.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::ReleaseName { .. } => None,
            Self::Required { key } => Some(key),
            Self::PrefectVersion { .. } => Some("backgroundServices.runAsSeparateDeployment"),
            Self::Template { key, .. } | Self::Yaml { key, .. } | Self::Refused { key, .. } => Some(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some("tag"), &["tag", "name"], "; did you mean `tag`?")]
    #[case(None, &["tag", "name"], "; known are tag, name")]
    #[case(None, &[], "")]
    fn an_unknown_key_says_what_is_known(
        #[case] nearest: Option<&str>,
        #[case] known: &[&str],
        #[case] expected: &str,
    ) {
        let known: Vec<String> = known.iter().map(|&key| key.to_owned()).collect();
        assert_eq!(suggestion(nearest, &known), expected);
    }
}
