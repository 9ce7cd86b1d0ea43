//! Rendered objects.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A Kubernetes object as the chart renders it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    json: Value,
}

impl Object {
    /// Takes the JSON form of an object, which has `apiVersion`, `kind` and `metadata.name`.
    #[must_use]
    pub fn new(json: Value) -> Self {
        Self { json }
    }

    /// The kind, like `Deployment`; empty when the JSON form has none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Group and version, like `apps/v1`; empty when the JSON form has none.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// The name; empty when the JSON form has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// The namespace, if the object names one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.json.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    /// The JSON form.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The JSON form, given away.
    #[must_use]
    pub fn into_json(self) -> Value {
        self.json
    }

    /// The object as a type of `k8s-openapi`.
    ///
    /// # Errors
    /// When the JSON form does not fit the type, as an `extraContainers` without a name does not.
    ///
    /// ```
    /// use k8s_openapi::api::apps::v1::Deployment;
    /// use prefect_e2e_renderer::{Release, Values, render};
    ///
    /// let objects = render(&Release::new("prefect-server", "prefect"), &Values::default())?;
    /// let deployment = objects.iter().find(|object| object.kind() == "Deployment").expect("the chart has one");
    /// let deployment: Deployment = deployment.typed()?;
    /// assert_eq!(deployment.metadata.name.as_deref(), Some("prefect-server"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn typed<K: DeserializeOwned>(&self) -> Result<K, serde_json::Error> {
        K::deserialize(&self.json)
    }

    fn text(&self, pointer: &str) -> &str {
        self.json
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}
