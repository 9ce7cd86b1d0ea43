//! Reviews: questions about the caller, answered for the one administrator that there is.

use serde_json::{Value, json};

use crate::status::{ApiError, ApiResult};

/// The answer to a review sent to `path`; `None` when the path is about something else.
pub(crate) fn answer(path: &str, mut question: Value) -> Option<ApiResult<Value>> {
    let user = json!({"username": "prefect-e2e", "groups": ["system:masters", "system:authenticated"]});
    let status = match path.trim_matches('/').strip_prefix("apis/")? {
        "authorization.k8s.io/v1/selfsubjectaccessreviews" | "authorization.k8s.io/v1/subjectaccessreviews" => {
            json!({"allowed": true, "reason": "one administrator"})
        }
        "authorization.k8s.io/v1/selfsubjectrulesreviews" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}], "incomplete": false,
        }),
        "authentication.k8s.io/v1/selfsubjectreviews" => json!({"userInfo": user}),
        "authentication.k8s.io/v1/tokenreviews" => json!({"authenticated": false}),
        _ => return None,
    };
    if !question.is_object() {
        return Some(Err(ApiError::bad_request("the body is not an object")));
    }
    question["status"] = status;
    Some(Ok(question))
}
