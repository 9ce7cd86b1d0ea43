//! What the API server answers to a request.

use http::{HeaderMap, StatusCode, response::Parts};
use serde_json::Value;

use crate::{
    behaviour::{Outcome, contains, differs, equal, holds},
    place::text,
};

/// The reasons of causes.
pub(crate) const REQUIRED: &str = "FieldValueRequired";
pub(crate) const INVALID: &str = "FieldValueInvalid";
pub(crate) const UNSUPPORTED: &str = "FieldValueNotSupported";
pub(crate) const DUPLICATE: &str = "FieldValueDuplicate";
pub(crate) const NOT_FOUND: &str = "FieldValueNotFound";
pub(crate) const FORBIDDEN: &str = "FieldValueForbidden";

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    code: StatusCode,
    headers: HeaderMap,
    /// Null when the body is no JSON.
    body: Value,
    text: String,
}

impl Answer {
    pub(crate) fn new(head: Parts, body: &[u8]) -> Self {
        Self {
            code: head.status,
            headers: head.headers,
            body: serde_json::from_slice(body).unwrap_or_default(),
            text: String::from_utf8_lossy(body).into_owned(),
        }
    }

    pub(crate) fn code(&self) -> StatusCode {
        self.code
    }

    pub(crate) fn is_success(&self) -> bool {
        self.code.is_success()
    }

    pub(crate) fn body(&self) -> &Value {
        &self.body
    }

    pub(crate) fn into_body(self) -> Value {
        self.body
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body of an answer that has to have this code.
    pub(crate) fn done(self, code: StatusCode) -> Outcome<Value> {
        if self.code == code {
            Ok(self.body)
        } else {
            Err(differs(
                "the answer",
                &code,
                &format!("{} {}", self.code, self.text),
            ))
        }
    }

    /// The answer is a `Status` of a failure, with this code and reason.
    pub(crate) fn refused(&self, code: u16, reason: &str) -> Outcome {
        let found = (self.code.as_u16(), text(&self.body, "/reason"));
        let is_status = self.body["kind"] == "Status"
            && self.body["status"] == "Failure"
            && self.body["code"] == self.code.as_u16();
        holds(
            "the refusal",
            is_status && found == (code, reason),
            &format!("{code} {reason}"),
            &format!("{} {}", self.code.as_u16(), self.text),
        )
    }

    /// The `Status` says this among other things.
    pub(crate) fn says(&self, part: &str) -> Outcome {
        contains("the message", text(&self.body, "/message"), part)
    }

    /// Among the causes of the `Status` is this one.
    pub(crate) fn names_cause(&self, field: &str, reason: &str) -> Outcome {
        let causes = &self.body["details"]["causes"];
        let mut list = causes.as_array().into_iter().flatten();
        let is_there = list.any(|cause| cause["field"] == field && cause["reason"] == reason);
        holds("the causes", is_there, &format!("{reason} of {field}"), causes)
    }

    /// The answer has this code and nothing need be known of its body.
    pub(crate) fn has_code(&self, code: u16) -> Outcome {
        equal("the code", self.code.as_u16(), code)
    }
}
