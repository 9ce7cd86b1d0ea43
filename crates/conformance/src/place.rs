//! A namespace that one behaviour has for itself, and the requests that it makes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    behaviour::{Outcome, differs},
    watch::Watch,
};

/// How long anything may take before it counts as not happening.
const PATIENCE: Duration = Duration::from_secs(120);

/// The pause before a cluster is asked the same again.
const PAUSE: Duration = Duration::from_millis(100);

/// The label of namespaces that are made here; its value is the run.
pub const RUN_LABEL: &str = "prefect-e2e/conformance";

/// The namespace of a behaviour.
#[derive(Clone)]
pub struct Place {
    client: kube::Client,
    namespace: String,
}

impl Place {
    /// Makes a namespace, labelled with the run, and waits until pods can be made in it.
    ///
    /// # Errors
    /// When the cluster does not make one.
    pub async fn make(client: kube::Client, run: &str) -> Outcome<Self> {
        let nowhere = Self {
            client,
            namespace: String::new(),
        };
        let namespace = json!({"metadata": {"generateName": "conformance-", "labels": {RUN_LABEL: run}}});
        let made = nowhere.create("/api/v1/namespaces", &namespace).await?;
        let place = Self {
            namespace: text(&made, "/metadata/name").to_owned(),
            ..nowhere
        };
        place.until("serviceaccounts/default", |_| true).await?;
        place.until("configmaps/kube-root-ca.crt", |_| true).await?;
        Ok(place)
    }

    /// Lets the cluster remove the namespace, and does not wait for it.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn leave(&self) -> Outcome {
        self.delete(&self.own()).await.map(drop)
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The path of the namespace itself.
    pub(crate) fn own(&self) -> String {
        format!("/api/v1/namespaces/{}", self.namespace)
    }

    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The path of a resource of this namespace, such as `pods` or `deployments/a/scale`; a path that
    /// begins with `/` is one already.
    pub(crate) fn path(&self, resource: &str) -> String {
        if resource.starts_with('/') {
            return resource.to_owned();
        }
        let plural = resource.split(['/', '?']).next().unwrap_or_default();
        format!("{}/namespaces/{}/{resource}", group_path(plural), self.namespace)
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        resource: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Outcome<Answer> {
        let response = self
            .client
            .send(self.request(method, resource, headers, body))
            .await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        Ok(Answer::new(head, &bytes))
    }

    fn request(
        &self,
        method: Method,
        resource: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Request<Body> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        #[expect(clippy::expect_used, reason = "paths and headers are literals of this crate")]
        {
            *request.uri_mut() = self.path(resource).parse().expect("a path");
            for (name, value) in headers {
                let name: http::HeaderName = name.parse().expect("a header's name");
                request
                    .headers_mut()
                    .insert(name, value.parse().expect("a header's value"));
            }
        }
        request
    }

    async fn send_json(&self, method: Method, resource: &str, media: &str, body: &Value) -> Outcome<Answer> {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        self.send(method, resource, &[(CONTENT_TYPE.as_str(), media)], body)
            .await
    }

    pub(crate) async fn get(&self, resource: &str) -> Outcome<Answer> {
        self.send(Method::GET, resource, &[], Vec::new()).await
    }

    /// Gets in the form that an `Accept` header asks for.
    pub(crate) async fn get_as(&self, resource: &str, accept: &str) -> Outcome<Answer> {
        self.send(Method::GET, resource, &[("accept", accept)], Vec::new())
            .await
    }

    pub(crate) async fn post(&self, resource: &str, body: &Value) -> Outcome<Answer> {
        self.send_json(Method::POST, resource, "application/json", body)
            .await
    }

    pub(crate) async fn put(&self, resource: &str, body: &Value) -> Outcome<Answer> {
        self.send_json(Method::PUT, resource, "application/json", body)
            .await
    }

    pub(crate) async fn delete(&self, resource: &str) -> Outcome<Answer> {
        self.delete_with(resource, &Value::Null).await
    }

    /// Deletes with `DeleteOptions`.
    pub(crate) async fn delete_with(&self, resource: &str, options: &Value) -> Outcome<Answer> {
        self.send_json(Method::DELETE, resource, "application/json", options)
            .await
    }

    pub(crate) async fn patch(&self, resource: &str, kind: Patch, patch: &Value) -> Outcome<Answer> {
        self.send_json(Method::PATCH, resource, kind.media_type(), patch)
            .await
    }

    /// The object; it has to be there.
    pub(crate) async fn read(&self, resource: &str) -> Outcome<Value> {
        self.get(resource).await?.done(StatusCode::OK)
    }

    /// The object that is made of this one; it has to be accepted.
    pub(crate) async fn create(&self, resource: &str, object: &Value) -> Outcome<Value> {
        self.post(resource, object).await?.done(StatusCode::CREATED)
    }

    /// What would be made of an object, which is not stored.
    pub(crate) async fn would_create(&self, resource: &str, object: &Value) -> Outcome<Value> {
        self.create(&format!("{resource}?dryRun=All"), object).await
    }

    /// The object after an update; it has to be accepted.
    pub(crate) async fn update(&self, resource: &str, object: &Value) -> Outcome<Value> {
        self.put(resource, object).await?.done(StatusCode::OK)
    }

    /// The object after a merge patch; it has to be accepted.
    pub(crate) async fn merge(&self, resource: &str, patch: &Value) -> Outcome<Value> {
        self.patch(resource, Patch::Merge, patch)
            .await?
            .done(StatusCode::OK)
    }

    /// Asks the server to apply an object in the name of `manager`.
    pub(crate) async fn apply(&self, resource: &str, manager: &str, object: &Value) -> Outcome<Answer> {
        let resource = format!("{resource}?fieldManager={manager}");
        self.patch(&resource, Patch::Apply, object).await
    }

    /// The names of the objects of a list, in its order.
    pub(crate) async fn names(&self, resource: &str) -> Outcome<Vec<String>> {
        Ok(names(&self.read(resource).await?))
    }

    /// Waits until the resource is there and as `condition` says.
    pub(crate) async fn until(&self, resource: &str, condition: impl Fn(&Value) -> bool) -> Outcome<Value> {
        self.until_answer(resource, |answer| answer.is_success() && condition(answer.body()))
            .await
            .map(Answer::into_body)
    }

    /// Waits until the resource is gone.
    pub(crate) async fn until_gone(&self, resource: &str) -> Outcome {
        let gone = |answer: &Answer| answer.code() == StatusCode::NOT_FOUND;
        self.until_answer(resource, gone).await.map(drop)
    }

    /// Waits until getting the resource is answered so.
    pub(crate) async fn until_answer(
        &self,
        resource: &str,
        condition: impl Fn(&Answer) -> bool,
    ) -> Outcome<Answer> {
        let begun = Instant::now();
        loop {
            let answer = self.get(resource).await?;
            if condition(&answer) {
                return Ok(answer);
            }
            if begun.elapsed() > PATIENCE {
                let expected = format!("another state within {} s", PATIENCE.as_secs());
                return Err(differs(resource, &expected, answer.body()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Begins to watch.
    pub(crate) async fn watch(&self, resource: &str) -> Outcome<Watch> {
        self.watch_as(resource, "application/json").await
    }

    /// Begins to watch in the form that an `Accept` header asks for.
    pub(crate) async fn watch_as(&self, resource: &str, accept: &str) -> Outcome<Watch> {
        let separator = if resource.contains('?') { '&' } else { '?' };
        let resource = format!("{resource}{separator}watch=true");
        let request = self.request(Method::GET, &resource, &[("accept", accept)], Vec::new());
        let response = self.client.send(request).await?;
        if response.status() != StatusCode::OK {
            return Err(differs(&resource, "200", &response.status()));
        }
        Ok(Watch::new(response.into_body(), PATIENCE))
    }

    /// The log of a pod, whole, once it has ended.
    pub(crate) async fn log_of_ended(&self, pod: &str) -> Outcome<String> {
        let is_over = |pod: &Value| matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        self.until(&format!("pods/{pod}"), is_over).await?;
        Ok(self.get(&format!("pods/{pod}/log")).await?.text().to_owned())
    }

    /// What a new pod prints until it ends.
    pub(crate) async fn printed_by(&self, pod: &Value) -> Outcome<String> {
        let made = self.create("pods", pod).await?;
        self.log_of_ended(text(&made, "/metadata/name")).await
    }

    /// A pod that is running and ready.
    pub(crate) async fn until_ready(&self, pod: &str) -> Outcome<Value> {
        self.until(&format!("pods/{pod}"), |pod| condition(pod, "Ready") == "True")
            .await
    }
}

/// The kinds of patches that change something by themselves, and server-side apply.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patch {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Patch {
    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// Where the group of a resource is served.
fn group_path(plural: &str) -> &'static str {
    match plural {
        "controllerrevisions" | "daemonsets" | "deployments" | "replicasets" | "statefulsets" => {
            "/apis/apps/v1"
        }
        "cronjobs" | "jobs" => "/apis/batch/v1",
        "horizontalpodautoscalers" => "/apis/autoscaling/v2",
        "ingresses" | "networkpolicies" => "/apis/networking.k8s.io/v1",
        "poddisruptionbudgets" => "/apis/policy/v1",
        "endpointslices" => "/apis/discovery.k8s.io/v1",
        "leases" => "/apis/coordination.k8s.io/v1",
        "roles" | "rolebindings" => "/apis/rbac.authorization.k8s.io/v1",
        _ => "/api/v1",
    }
}

/// The text at a pointer; empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The items of a list.
pub(crate) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

/// The names of the objects of a list.
pub(crate) fn names(list: &Value) -> Vec<String> {
    let names = items(list)
        .iter()
        .map(|item| text(item, "/metadata/name").to_owned());
    names.collect()
}

/// The labels of an object.
pub(crate) fn labels(object: &Value) -> BTreeMap<&str, &str> {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    labels
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
        .collect()
}

/// The status of a condition; empty when there is none.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .find(|one| one["type"] == kind)
        .map_or("", |one| text(one, "/status"))
}
