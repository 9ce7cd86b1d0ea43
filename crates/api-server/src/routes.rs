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
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT, WARNING},
    request::Parts,
};
use serde_json::Value;

use crate::{
    body, discovery,
    merge::Patch,
    path::ResourcePath,
    query::Query,
    representation::Representation,
    resource::Written,
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
    let expected: Arc<str> = token.into();
    let accounts = shared.clone();
    open(shared).layer(middleware::from_fn(move |request: Request, next: Next| {
        let sent = bearer(request.headers());
        let admitted = is_public(request.uri().path())
            || is_same(sent, &expected)
            || accounts.tokens.admit(&accounts.resources.store, sent);
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

/// The token that a request shows.
fn bearer(headers: &HeaderMap) -> &str {
    header(headers, &AUTHORIZATION)
        .strip_prefix("Bearer ")
        .unwrap_or_default()
}

/// Compares in a time that does not depend on where the texts part.
fn is_same(sent: &str, expected: &str) -> bool {
    let (sent, expected) = (sent.as_bytes(), expected.as_bytes());
    sent.len() == expected.len() && sent.iter().zip(expected).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

async fn answer_or_refuse(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answer(&shared, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer(shared: &Arc<Shared>, request: Request) -> ApiResult<Response> {
    let path = request.uri().path().to_owned();
    if is_health(&path) {
        return Ok("ok".into_response());
    }
    if request.method() == Method::GET
        && let Some(response) = discovery::answer(&path, request.headers())
    {
        return Ok(response);
    }
    if request.method() == Method::POST && review::is_review(&path) {
        return review::answer(&path, Sent::read(request).await?.object()?);
    }
    let path = ResourcePath::parse(&path)?;
    match stream::answer(shared, &path, request).await {
        Ok(response) => response,
        Err(request) => on_objects(shared, path, request).await,
    }
}

async fn on_objects(shared: &Arc<Shared>, path: ResourcePath, request: Request) -> ApiResult<Response> {
    let sent = Sent::read(request).await?;
    let query = Query::parse(sent.head.uri.query(), header(&sent.head.headers, &USER_AGENT));
    query.check()?;
    Call {
        shared,
        path,
        query,
        sent,
    }
    .answer()
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// A request that has been read.
struct Sent {
    head: Parts,
    body: Bytes,
}

impl Sent {
    async fn read(request: Request) -> ApiResult<Self> {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_LIMIT).await;
        Ok(Self {
            head,
            body: body.map_err(|_| ApiError::too_large(BODY_LIMIT))?,
        })
    }

    fn content_type(&self) -> &str {
        header(&self.head.headers, &CONTENT_TYPE)
    }

    fn object(&self) -> ApiResult<Value> {
        body::object(self.content_type(), &self.body)
    }

    /// The object, or null when there is no body.
    fn object_if_any(&self) -> ApiResult<Value> {
        if self.body.is_empty() {
            Ok(Value::Null)
        } else {
            self.object()
        }
    }
}

/// A request about objects.
struct Call<'a> {
    shared: &'a Arc<Shared>,
    path: ResourcePath,
    query: Query,
    sent: Sent,
}

impl Call<'_> {
    fn answer(&self) -> ApiResult<Response> {
        let Self {
            path, query, sent, ..
        } = self;
        let resources = &self.shared.resources;
        match (
            sent.head.method.as_str(),
            path.name.is_some(),
            path.subresource.as_deref(),
        ) {
            ("GET", false, None) if query.is_set("watch") => {
                watch::start(resources.clone(), path, query, self.representation()?)
            }
            ("GET", false, _) => self.list(),
            ("GET", true, _) => self.object(&resources.get(path)?),
            ("POST", false, _) => self.written(resources.create(path, query, sent.object()?)?),
            ("POST", true, Some(subresource)) => self.make(subresource),
            ("PUT", true, _) => self.written(resources.update(path, query, sent.object()?)?),
            ("PATCH", true, _) => {
                let patch = Patch::parse(sent.content_type(), &sent.body)?;
                self.written(resources.patch(path, query, &patch)?)
            }
            ("DELETE", true, None) => self.object(&resources.delete(path, query, &sent.object_if_any()?)?),
            ("DELETE", false, _) => {
                self.object(&resources.delete_collection(path, query, &sent.object_if_any()?)?)
            }
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// A subresource that is only ever made.
    fn make(&self, subresource: &str) -> ApiResult<Response> {
        let Self {
            path, query, sent, ..
        } = self;
        let resources = &self.shared.resources;
        let made = match (path.kind.kind, subresource) {
            ("Pod", "binding") => resources.bind(path, &sent.object()?)?,
            ("Pod", "eviction") => resources.evict(path, query, &sent.object()?)?,
            ("ServiceAccount", "token") => {
                self.shared.tokens.issue(&resources.store, path, sent.object()?)?
            }
            _ => return Err(ApiError::no_such_path()),
        };
        Ok(json(StatusCode::CREATED, &made))
    }

    fn representation(&self) -> ApiResult<Representation> {
        Representation::asked_for(&self.sent.head.headers, &self.query)
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

pub(crate) fn json(code: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
