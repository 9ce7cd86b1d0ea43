//! Answers that are streams: logs, commands, forwarded ports and proxied HTTP.

pub(crate) mod exec;
pub(crate) mod log;
pub(crate) mod port_forward;
pub(crate) mod proxy;
pub(crate) mod spdy;
pub(crate) mod upgrade;

use std::sync::Arc;

use axum::{extract::Request, response::Response};

use crate::{
    kubelet::{Kubelet, KubeletError},
    meta,
    path::ResourcePath,
    query::Query,
    server::Shared,
    status::{ApiError, ApiResult},
};

/// Answers a request for a stream; gives the request back when it is for something else.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    path: &ResourcePath,
    request: Request,
) -> Result<ApiResult<Response>, Request> {
    match path.subresource.as_deref() {
        Some("log") => {
            let query = Query::parse(request.uri().query(), "");
            Ok(log::respond(shared, path, &query).await)
        }
        Some("exec" | "attach") => Ok(exec::respond(shared, path, request).await),
        Some("portforward") => Ok(port_forward::respond(shared, path, request).await),
        Some("proxy") => Ok(proxy::respond(shared, path, request).await),
        _ => Err(request),
    }
}

/// The pairs of a request's query, in order.
pub(crate) fn query_pairs(request: &Request) -> impl Iterator<Item = (String, String)> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

/// The kubelet of the pod that `path` names, and the pod's name.
///
/// # Errors
/// When there is no such pod, it is not bound to a node yet, or there is no node.
fn kubelet_of<'a>(state: &Shared, path: &'a ResourcePath) -> ApiResult<(Arc<dyn Kubelet>, &'a str)> {
    if !path.kind.is("Pod") {
        return Err(ApiError::no_such_path());
    }
    let name = path.name.as_deref().unwrap_or_default();
    let pod = state.resources.store.get(path.kind, &path.namespace, name)?;
    if meta::text(&pod, "/spec/nodeName").is_empty() {
        return Err(ApiError::bad_request(format!(
            "pod {name} does not have a host assigned"
        )));
    }
    let kubelet = state.kubelet().cloned();
    Ok((
        kubelet.ok_or_else(|| ApiError::unavailable("no node is connected"))?,
        name,
    ))
}

fn refused(error: &KubeletError) -> ApiError {
    match error {
        KubeletError::NotFound(message) => {
            ApiError::new(http::StatusCode::NOT_FOUND, "NotFound", message.clone())
        }
        KubeletError::BadRequest(message) => ApiError::bad_request(message.clone()),
        KubeletError::Io { context, source } => ApiError::internal(format!("{context}: {source}")),
    }
}
