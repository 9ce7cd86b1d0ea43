//! Events: what happens to objects, told to whoever looks at them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// Whether an event is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

type Seen = HashMap<(String, &'static str, String), (String, i32)>;

/// Records events of pods. The same event again counts up the first one.
#[derive(Clone)]
pub(crate) struct Events {
    client: Client,
    host: String,
    seen: Arc<Mutex<Seen>>,
}

impl Events {
    pub(crate) fn new(client: Client, host: &str) -> Self {
        Self {
            client,
            host: host.to_owned(),
            seen: Arc::default(),
        }
    }

    /// Records an event of `pod`, or of its container `container`.
    pub(crate) fn record(
        &self,
        pod: &Pod,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let key = (
            pod.metadata.uid.clone().unwrap_or_default(),
            reason,
            message.clone(),
        );
        let fresh_name = format!(
            "{}.{:x}",
            pod.metadata.name.as_deref().unwrap_or_default(),
            Timestamp::now().as_nanosecond()
        );
        let (name, count) = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = seen.entry(key).or_insert((fresh_name, 0));
            entry.1 += 1;
            entry.clone()
        };
        let event = self.event(pod, container, severity, reason, message, &name);
        tokio::spawn(async move {
            let written = if count == 1 {
                api.create(&PostParams::default(), &event).await.map(drop)
            } else {
                let patch = json!({"count": count, "lastTimestamp": Time(Timestamp::now())});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await
                    .map(drop)
            };
            if let Err(error) = written {
                // the namespace may be gone; nobody would read the event
                tracing::debug!(%error, reason, "an event was not recorded");
            }
        });
    }

    /// Forgets what it knows of a pod that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|key, _| key.0 != uid);
    }

    fn event(
        &self,
        pod: &Pod,
        container: Option<&str>,
        severity: Severity,
        reason: &str,
        message: String,
        name: &str,
    ) -> Event {
        let now = Time(Timestamp::now());
        let regarding = pod.object_ref(&());
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: pod.metadata.namespace.clone(),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                field_path: container.map(|name| field_path(pod, name)),
                ..regarding
            },
            type_: Some(format!("{severity:?}")),
            reason: Some(reason.to_owned()),
            message: Some(message),
            source: Some(EventSource {
                component: Some("kubelet".into()),
                host: Some(self.host.clone()),
            }),
            reporting_component: Some("kubelet".into()),
            reporting_instance: Some(self.host.clone()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        }
    }
}

/// Where a container stands in its pod.
fn field_path(pod: &Pod, container: &str) -> String {
    let init = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let list = if init.into_iter().any(|one| one.name == container) {
        "initContainers"
    } else {
        "containers"
    };
    format!("spec.{list}{{{container}}}")
}
