//! What is proven of a deployment, each check a module: what it looks at from outside, and what it says
//! when that is broken.

pub(crate) mod autoscaling;
pub(crate) mod background_services;
pub(crate) mod basic_auth;
pub(crate) mod browser;
pub(crate) mod database;
pub(crate) mod filesystem;
pub(crate) mod health;
pub(crate) mod ingress;
pub(crate) mod neighbour;
pub(crate) mod probes;
pub(crate) mod replicas;
pub(crate) mod rollout;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod survival;
pub(crate) mod ui;

use crate::event::{Detail, Failure};

/// What a check found broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Broken {
    failure: Box<Failure>,
    of_the_environment: bool,
}

/// What a check saw, in a line.
pub(crate) type Seen = Result<Verdict, Broken>;

/// How a check ended that did not find anything broken.
pub(crate) enum Verdict {
    /// All is as it should be; what was seen.
    Holds(String),
    /// What it looks at is not there.
    Skipped(String),
}

impl Broken {
    /// Broken for this cause.
    #[must_use]
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Self {
            failure: Box::new(Failure {
                cause: cause.into(),
                ..Failure::default()
            }),
            of_the_environment: false,
        }
    }

    /// The cluster's API did not do what `action` names.
    pub(crate) fn cluster(action: impl std::fmt::Display, error: &kube::Error) -> Self {
        let message = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => chain(other),
        };
        Self::new(format!("{action} failed: {message}"))
    }

    /// What should have been, and what was.
    pub(crate) fn expected(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        self.failure.expected = expected.into();
        self.failure.found = found.into();
        self
    }

    /// The object that it is about, as `kind/name`.
    pub(crate) fn object(mut self, object: impl Into<String>) -> Self {
        self.failure.object = object.into();
        self
    }

    /// Something seen around it.
    pub(crate) fn detail(mut self, title: impl Into<String>, text: impl Into<String>) -> Self {
        let (title, text) = (title.into(), text.into());
        if !text.trim().is_empty() {
            self.failure.details.push(Detail { title, text });
        }
        self
    }

    pub(crate) fn details(mut self, details: Vec<Detail>) -> Self {
        self.failure.details.extend(details);
        self
    }

    pub(crate) fn has_details(&self) -> bool {
        !self.failure.details.is_empty()
    }

    /// The cause in a line.
    #[must_use]
    pub(crate) fn cause(&self) -> &str {
        &self.failure.cause
    }

    /// Says that the machine lacks what is needed, and the deployment is not to blame.
    pub(crate) fn of_the_environment(mut self) -> Self {
        self.of_the_environment = true;
        self
    }

    pub(crate) fn is_of_the_environment(&self) -> bool {
        self.of_the_environment
    }

    pub(crate) fn into_failure(self, rerun: String) -> Failure {
        Failure {
            rerun,
            ..*self.failure
        }
    }
}

/// The messages of `error` and all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // some errors repeat what caused them
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}
