//! Reviews: questions about the caller, answered for the one administrator that there is.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    routes,
    status::{ApiError, ApiResult},
};

/// The groups whose kinds are questions, and those kinds: plural and kind.
pub(crate) const REVIEWS: [(&str, &[(&str, &str)]); 2] = [
    (
        "authentication.k8s.io",
        &[
            ("selfsubjectreviews", "SelfSubjectReview"),
            ("tokenreviews", "TokenReview"),
        ],
    ),
    (
        "authorization.k8s.io",
        &[
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
            ("subjectaccessreviews", "SubjectAccessReview"),
        ],
    ),
];

/// Whether a path leads to a review.
pub(crate) fn is_review(path: &str) -> bool {
    kind_at(path).is_some()
}

fn kind_at(path: &str) -> Option<&'static str> {
    let (group, rest) = path.strip_prefix("/apis/")?.split_once("/v1/")?;
    let (_, kinds) = REVIEWS.iter().find(|(name, _)| *name == group)?;
    kinds
        .iter()
        .find(|(plural, _)| *plural == rest)
        .map(|(_, kind)| *kind)
}

/// Answers the question sent to `path`.
pub(crate) fn answer(path: &str, mut question: Value) -> ApiResult<Response> {
    if !question.is_object() {
        return Err(ApiError::bad_request("the body is not an object"));
    }
    question["status"] = match kind_at(path) {
        Some("SelfSubjectAccessReview" | "SubjectAccessReview") => {
            json!({"allowed": true, "reason": "every caller is the administrator"})
        }
        Some("SelfSubjectRulesReview") => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        Some("SelfSubjectReview") => json!({"userInfo": administrator()}),
        Some("TokenReview") => json!({"authenticated": true, "user": administrator()}),
        _ => return Err(ApiError::no_such_path()),
    };
    Ok(routes::json(StatusCode::CREATED, &question))
}

fn administrator() -> Value {
    json!({"username": "prefect-e2e", "groups": ["system:masters", "system:authenticated"]})
}
