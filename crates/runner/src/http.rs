//! HTTP as users of the deployment speak it: through the API server's Service proxy, or to a forwarded
//! port.

use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

use crate::{
    check::{Broken, chain},
    deploy::Place,
};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self, what: &str) -> Result<Value, Broken> {
        serde_json::from_str(&self.body).map_err(|error| {
            Broken::new(format!("{what} is not JSON: {error}")).expected("JSON", self.excerpt())
        })
    }

    /// Status and the begin of the body, in a line.
    pub(crate) fn excerpt(&self) -> String {
        let line: String = self
            .body
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(200)
            .collect();
        format!("{} {line}", self.status).trim_end().to_owned()
    }

    /// The API server's own message when it could not pass the request on.
    pub(crate) fn proxy_error(&self) -> Option<String> {
        let status: Value = serde_json::from_str(&self.body).ok()?;
        (status["kind"] == "Status").then(|| status["message"].as_str().unwrap_or_default().to_owned())
    }
}

/// GETs `path` of a Service through the API server.
pub(crate) async fn through_service(
    place: &Place,
    service: &str,
    port: u16,
    path: &str,
) -> Result<Answer, Broken> {
    through_proxy(place, ("services", service), port, path).await
}

/// GETs `path` of a pod through the API server.
pub(crate) async fn through_pod(place: &Place, pod: &str, port: u16, path: &str) -> Result<Answer, Broken> {
    through_proxy(place, ("pods", pod), port, path).await
}

async fn through_proxy(
    place: &Place,
    (resource, name): (&str, &str),
    port: u16,
    path: &str,
) -> Result<Answer, Broken> {
    let uri = format!(
        "/api/v1/namespaces/{}/{resource}/{name}:{port}/proxy{path}",
        place.namespace
    );
    let request = http::Request::get(&uri).body(Body::empty());
    let request = request.map_err(|error| Broken::new(format!("cannot ask for {uri}: {error}")))?;
    let failed =
        |reason: String| Broken::new(format!("GET {path} through {resource}/{name} failed: {reason}"));
    let exchange = async {
        let response = place
            .client
            .send(request)
            .await
            .map_err(|error| failed(chain(&error)))?;
        let (parts, body) = response.into_parts();
        let bytes = body
            .collect()
            .await
            .map_err(|error| failed(error.to_string()))?
            .to_bytes();
        let content_type = parts
            .headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: parts.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))))
}

/// A client of HTTP servers behind forwarded ports.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    credentials: Option<(String, String)>,
}

impl Http {
    /// A client of the server at `base`, such as `http://127.0.0.1:4200`, which shows `user:password`.
    pub(crate) fn new(base: String, credentials: Option<&str>) -> Result<Self, Broken> {
        // a proxy of the environment is for the world outside, not for this machine
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| Broken::new(format!("no HTTP client: {}", chain(&error))))?;
        let credentials = credentials.map(|text| text.split_once(':').unwrap_or((text, "")));
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Ok(Self {
            client,
            base,
            credentials,
        })
    }

    /// The same server with other credentials.
    pub(crate) fn with(&self, credentials: Option<(&str, &str)>) -> Self {
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Self {
            credentials,
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Broken> {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Broken> {
        self.send("POST", path, Some(body)).await
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Broken> {
        let failed = |error: reqwest::Error| {
            Broken::new(format!("{method} {path} failed: {}", chain(&error.without_url())))
        };
        let url = format!("{}{path}", self.base);
        let mut request = if method == "POST" {
            self.client.post(url)
        } else {
            self.client.get(url)
        };
        if let Some((user, password)) = &self.credentials {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(reqwest::header::CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let body = response.text().await.map_err(failed)?;
        Ok(Answer {
            status,
            content_type,
            body,
        })
    }
}
