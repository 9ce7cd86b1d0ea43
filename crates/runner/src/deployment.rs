//! A deployed release, as checks see it: its place in the cluster, its objects and their parts.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use prefect_e2e_renderer::Object;
use prefect_e2e_scenarios::Component;
use serde_json::Value;

use crate::{
    check::Broken,
    deploy::{Place, reference},
    port_forward::is_ready,
};

const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// A release that was deployed with these values.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) place: Place,
    /// The chart's values in effect, defaults included.
    pub(crate) values: Value,
    pub(crate) objects: Vec<Object>,
    /// `user:password` when the API asks for them.
    pub(crate) credentials: Option<String>,
    /// What the pods of this target run as when the runner needs one of its own.
    pub(crate) image: String,
}

impl Deployment {
    /// The value at a JSON pointer such as `/server/uiConfig/enabled`; null when there is none.
    pub(crate) fn value(&self, pointer: &str) -> &Value {
        self.values.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Whether a switch of the values is on.
    pub(crate) fn is_on(&self, pointer: &str) -> bool {
        self.value(pointer) == &Value::Bool(true)
    }

    /// A text of the values; empty when there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.value(pointer).as_str().unwrap_or_default()
    }

    /// The object of `kind` that belongs to `component`.
    pub(crate) fn object(&self, kind: &str, component: Component) -> Option<&Object> {
        let label = component_label(component);
        self.objects.iter().find(|object| {
            object.kind() == kind && object.json()["metadata"]["labels"][COMPONENT_LABEL] == label
        })
    }

    /// The first object of `kind`.
    pub(crate) fn any(&self, kind: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.kind() == kind)
    }

    /// What runs the pods of `component`.
    pub(crate) fn workload(&self, component: Component) -> Result<&Object, Broken> {
        let kind = if component == Component::Database {
            "StatefulSet"
        } else {
            "Deployment"
        };
        self.object(kind, component).ok_or_else(|| {
            Broken::new(format!(
                "the chart renders no {kind} with {COMPONENT_LABEL}={}",
                component_label(component)
            ))
        })
    }

    /// The Service of the web server.
    pub(crate) fn service(&self) -> Result<&Object, Broken> {
        self.object("Service", Component::Server).ok_or_else(|| {
            Broken::new(format!(
                "the chart renders no Service with {COMPONENT_LABEL}=server"
            ))
        })
    }

    /// The Service's port that leads to the API.
    pub(crate) fn service_port(&self) -> Result<u16, Broken> {
        let service = self.service()?;
        let port = service.json()["spec"]["ports"][0]["port"].as_u64();
        port.and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| Broken::new(format!("{} has no port", reference(service))))
    }

    /// The port at which the server's container listens, by its values.
    pub(crate) fn container_port(&self) -> u16 {
        self.value("/service/targetPort")
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(4200)
    }

    /// The container of `component`'s pods that the chart is about.
    pub(crate) fn container(&self, component: Component) -> Result<&Value, Broken> {
        let workload = self.workload(component)?;
        let container = &workload.json()["spec"]["template"]["spec"]["containers"][0];
        if container.is_null() {
            return Err(Broken::new(format!("{} has no container", reference(workload))));
        }
        Ok(container)
    }

    /// The label selector of `component`'s pods.
    pub(crate) fn selector(&self, component: Component) -> Result<String, Broken> {
        Ok(selector_text(
            &self.workload(component)?.json()["spec"]["selector"]["matchLabels"],
        ))
    }

    /// The pods of `component`, those that are ending left out.
    pub(crate) async fn pods(&self, component: Component) -> Result<Vec<Pod>, Broken> {
        let mut pods = self.pods_to_the_last(component).await?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The pods of `component`, those that are ending among them.
    pub(crate) async fn pods_to_the_last(&self, component: Component) -> Result<Vec<Pod>, Broken> {
        let api: Api<Pod> = Api::namespaced(self.place.client.clone(), &self.place.namespace);
        let selector = self.selector(component)?;
        let list = api.list(&ListParams::default().labels(&selector)).await;
        Ok(list
            .map_err(|error| Broken::cluster("listing pods", &error))?
            .items)
    }

    /// A ready pod of `component`.
    pub(crate) async fn ready_pod(&self, component: Component) -> Result<String, Broken> {
        let pods = self.pods(component).await?;
        let ready = pods.iter().find(|pod| is_ready(pod));
        ready
            .map(ResourceExt::name_any)
            .ok_or_else(|| Broken::new(format!("no pod of {} is ready", component_label(component))))
    }

    /// Deletes the pods of `component` and returns them.
    pub(crate) async fn delete_pods(&self, component: Component) -> Result<Vec<Pod>, Broken> {
        let api: Api<Pod> = Api::namespaced(self.place.client.clone(), &self.place.namespace);
        let pods = self.pods(component).await?;
        if pods.is_empty() {
            return Err(Broken::new(format!(
                "there is no pod of {} to delete",
                component_label(component)
            )));
        }
        for pod in &pods {
            let name = pod.name_any();
            api.delete(&name, &DeleteParams::default())
                .await
                .map_err(|error| Broken::cluster(format!("deleting pod/{name}"), &error))?;
        }
        Ok(pods)
    }
}

/// The value of the component label that the chart gives `component`.
pub(crate) fn component_label(component: Component) -> &'static str {
    match component {
        Component::Server => "server",
        Component::BackgroundServices => "background-services",
        Component::Database => "primary",
    }
}

/// `key=value,key=value` of a map of labels.
pub(crate) fn selector_text(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.join(",")
}
