//! `pods/log`.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};

use http::StatusCode;

use super::{kubelet_of, refused};
use crate::{
    kubelet::LogOptions,
    meta,
    path::ResourcePath,
    query::Query,
    server::Shared,
    status::{ApiError, ApiResult},
};

/// Sends the log that the query asks for.
pub(crate) async fn respond(state: &Arc<Shared>, path: &ResourcePath, query: &Query) -> ApiResult<Response> {
    let pod = state
        .resources
        .store
        .get(path.kind, &path.namespace, path.object_name())?;
    if path.kind.is("Pod") && meta::text(&pod, "/spec/nodeName").is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (kubelet, pod) = kubelet_of(state, path)?;
    let options = options(query)?;
    let log = kubelet
        .logs(&path.namespace, pod, options)
        .await
        .map_err(|error| refused(&error))?;
    Ok(([("content-type", "text/plain")], Body::from_stream(log)).into_response())
}

fn options(query: &Query) -> ApiResult<LogOptions> {
    let number = |key: &str| -> ApiResult<Option<u64>> {
        let Some(text) = query.get(key) else {
            return Ok(None);
        };
        let why = format!("{key}: Invalid value: {text:?}: must be greater than or equal to 0");
        text.parse().map(Some).map_err(|_| ApiError::bad_request(why))
    };
    let since_time = match query.get("sinceTime") {
        Some(text) => Some(text.parse().map_err(|error| {
            ApiError::bad_request(format!("sinceTime: Invalid value: {text:?}: {error}"))
        })?),
        None => None,
    };
    Ok(LogOptions {
        container: query.get("container").map(str::to_owned),
        follow: query.is_set("follow"),
        previous: query.is_set("previous"),
        tail_lines: number("tailLines")?,
        since_seconds: number("sinceSeconds")?,
        since_time,
        timestamps: query.is_set("timestamps"),
        limit_bytes: number("limitBytes")?,
    })
}
