//! The bodies of requests.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    protobuf,
    status::{ApiError, ApiResult},
};

/// The media type of a `Content-Type`, without its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Reads an object.
///
/// # Errors
/// 415 for media types that are not served, 400 when the body is not of its type.
pub(crate) fn object(content_type: &str, bytes: &Bytes) -> ApiResult<Value> {
    const MEDIA_TYPES: [&str; 3] = [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
    ];
    match media_type(content_type) {
        "" | "application/json" => json(bytes),
        "application/yaml" => yaml(bytes),
        "application/vnd.kubernetes.protobuf" => {
            protobuf::decode(bytes).map_err(|error| ApiError::bad_request(error.to_string()))
        }
        other => Err(ApiError::unsupported_media_type(other, &MEDIA_TYPES)),
    }
}

pub(crate) fn json(bytes: &Bytes) -> ApiResult<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("error decoding JSON: {error}")))
}

pub(crate) fn yaml(bytes: &Bytes) -> ApiResult<Value> {
    // JSON is YAML, and faster to read
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
}
