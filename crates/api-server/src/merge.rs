//! Patches: JSON patch, merge patch, strategic merge patch, and the configuration of a server-side apply.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    resource::parse_body,
    status::{ApiError, ApiResult},
};

/// A patch as its content type names it.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
}

impl Patch {
    pub(crate) fn parse(content_type: &str, body: &Bytes) -> ApiResult<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "application/json-patch+json" => serde_json::from_value(parse_body(body)?)
                .map(Self::Json)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}"))),
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => Ok(Self::Merge(parse_body(body)?)),
            other => Err(ApiError::unsupported_media_type(other, &[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ])),
        }
    }

    /// The object that results from patching `live`.
    pub(crate) fn applied_to(&self, live: &Value) -> ApiResult<Value> {
        let mut object = live.clone();
        match self {
            Self::Json(patch) => json_patch::patch(&mut object, patch)
                .map_err(|error| ApiError::unprocessable(format!("the server rejected our request due to an error in our request: {error}")))?,
            Self::Merge(patch) => json_patch::merge(&mut object, patch),
        }
        Ok(object)
    }
}
