//! From HTTP requests to the parts that answer them.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, WARNING},
};
use serde_json::Value;

use crate::{
    discovery,
    path::ResourcePath,
    representation::Representation,
    resource::{Query, Written, is_set},
    review,
    server::Shared,
    status::{ApiError, ApiResult},
    stream, watch,
};

/// The largest body that is read, as upstream.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// The API for those who are inside already.
pub(crate) fn open(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer_or_refuse).with_state(shared)
}

/// The API for those who have to show a token.
pub(crate) fn guarded(shared: Arc<Shared>, token: &str) -> Router {
    let expected: Arc<str> = format!("Bearer {token}").into();
    open(shared).layer(middleware::from_fn(move |request: Request, next: Next| {
        let admitted = is_public(request.uri().path()) || is_authorized(request.headers(), &expected);
        async move {
            if admitted {
                next.run(request).await
            } else {
                ApiError::unauthorized().into_response()
            }
        }
    }))
}

fn is_public(path: &str) -> bool {
    is_health(path) || path == "/version"
}

fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz")
}

/// Compares in a time that does not depend on where the texts part.
fn is_authorized(headers: &HeaderMap, expected: &str) -> bool {
    let sent = headers
        .get(AUTHORIZATION)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let expected = expected.as_bytes();
    sent.len() == expected.len() && sent.iter().zip(expected).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

async fn answer_or_refuse(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answer(&shared, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer(shared: &Arc<Shared>, request: Request) -> ApiResult<Response> {
    let path = request.uri().path();
    if is_health(path) {
        return Ok("ok".into_response());
    }
    if request.method() == Method::GET
        && let Some(response) = discovery::answer(path, request.headers())
    {
        return Ok(response);
    }
    if request.method() == Method::POST && review::is_review(path) {
        let path = path.to_owned();
        return review::answer(&path, &read_body(request.into_body()).await?);
    }
    let path = ResourcePath::parse(path)?;
    match stream::answer(shared, &path, request).await {
        Ok(response) => response,
        Err(request) => on_objects(shared, path, request).await,
    }
}

async fn on_objects(shared: &Arc<Shared>, path: ResourcePath, request: Request) -> ApiResult<Response> {
    let (head, body) = request.into_parts();
    let query = read_query(head.uri.query().unwrap_or_default());
    let body = read_body(body).await?;
    Call {
        shared,
        method: &head.method,
        headers: &head.headers,
        path,
        query,
        body,
    }
    .answer()
}

async fn read_body(body: Body) -> ApiResult<Bytes> {
    axum::body::to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| ApiError::too_large(BODY_LIMIT))
}

fn read_query(query: &str) -> Query {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A request about objects.
struct Call<'a> {
    shared: &'a Arc<Shared>,
    method: &'a Method,
    headers: &'a HeaderMap,
    path: ResourcePath,
    query: Query,
    body: Bytes,
}

impl Call<'_> {
    fn answer(&self) -> ApiResult<Response> {
        let (resources, path, query, body) = (&self.shared.resources, &self.path, &self.query, &self.body);
        match (
            self.method.as_str(),
            path.name.is_some(),
            path.subresource.as_deref(),
        ) {
            ("GET", _, None) if is_set(query, "watch") => {
                watch::start(resources.clone(), path, query, self.representation()?)
            }
            ("GET", false, _) => self.list(),
            ("GET", true, _) => self.object(&resources.get(path)?),
            ("POST", false, _) => self.written(resources.create(path, query, body)?),
            ("POST", true, Some("binding")) if path.kind.is("Pod") => {
                Ok(created(&resources.bind(path, body)?))
            }
            ("POST", true, Some("eviction")) if path.kind.is("Pod") => {
                Ok(created(&resources.evict(path, query, body)?))
            }
            ("PUT", true, _) => self.written(resources.update(path, query, body)?),
            ("PATCH", true, _) => self.written(resources.patch(path, query, self.content_type(), body)?),
            ("DELETE", true, None) => self.object(&resources.delete(path, query, body)?),
            ("DELETE", false, _) => self.object(&resources.delete_collection(path, query, body)?),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    fn representation(&self) -> ApiResult<Representation> {
        Representation::asked_for(self.headers, &self.query)
    }

    fn content_type(&self) -> &str {
        self.headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    fn list(&self) -> ApiResult<Response> {
        let listing = self.shared.resources.list(&self.path, &self.query)?;
        Ok(json(
            StatusCode::OK,
            &self.representation()?.of_list(self.path.kind, &listing),
        ))
    }

    /// An object in the form that was asked for; a `Status` or a `Scale` has but one.
    fn object(&self, object: &Value) -> ApiResult<Response> {
        if object["kind"] != self.path.kind.kind {
            return Ok(json(StatusCode::OK, object));
        }
        Ok(json(
            StatusCode::OK,
            &self.representation()?.of_object(self.path.kind, object),
        ))
    }

    fn written(&self, written: Written) -> ApiResult<Response> {
        let mut response = self.object(&written.object)?;
        if written.created {
            *response.status_mut() = StatusCode::CREATED;
        }
        for warning in written.warnings {
            let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
                response.headers_mut().append(WARNING, value);
            }
        }
        Ok(response)
    }
}

fn created(value: &Value) -> Response {
    json(StatusCode::CREATED, value)
}

pub(crate) fn json(code: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
