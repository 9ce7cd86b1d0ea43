//! What every controller works with: the API, the time and the events.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Event, EventSource},
};
use kube::{
    Api, Client, Resource,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::clock::Clock;

/// How many different events are remembered to be counted up when they come again.
const REMEMBERED: usize = 1024;

/// The name under which controllers write, as `managedFields` keep it.
const MANAGER: &str = "kube-controller-manager";

/// What becomes of an event that comes again: its name and how often it came.
type Seen = HashMap<(String, String, String), (String, i32)>;

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    seen: Arc<Mutex<Seen>>,
}

/// An event to be recorded.
pub(crate) struct News<'a> {
    /// The controller.
    pub(crate) from: &'static str,
    pub(crate) warning: bool,
    pub(crate) reason: &'a str,
    pub(crate) message: String,
}

impl Cluster {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            clock: Clock::start(),
            seen: Arc::default(),
        }
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) fn all<K: Resource<DynamicType: Default>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// Records what happened to `object`. The same again counts up the first event.
    pub(crate) async fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, news: News<'_>) {
        let meta = object.meta();
        let namespace = meta.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let key = (
            meta.uid.clone().unwrap_or_default(),
            news.reason.to_owned(),
            news.message.clone(),
        );
        let (name, count) = self.count(key, meta.name.as_deref().unwrap_or_default());
        let written = if count == 1 {
            let event = self.event(object, namespace, name, news);
            api.create(&PostParams::default(), &event).await
        } else {
            let again = Patch::Merge(json!({"count": count, "lastTimestamp": self.clock.now()}));
            api.patch(&name, &PatchParams::default(), &again).await
        };
        if let Err(error) = written {
            // the namespace may be gone; nobody would read the event
            tracing::debug!(%error, "an event was not recorded");
        }
    }

    fn count(&self, key: (String, String, String), object: &str) -> (String, i32) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        let unique = k8s_openapi::jiff::Timestamp::now().as_nanosecond();
        let entry = seen
            .entry(key)
            .or_insert_with(|| (format!("{object}.{unique:x}"), 0));
        entry.1 += 1;
        entry.clone()
    }

    fn event<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        namespace: &str,
        name: String,
        news: News<'_>,
    ) -> Event {
        let now = Some(self.clock.now());
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: object.object_ref(&()),
            type_: Some(if news.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(news.reason.to_owned()),
            message: Some(news.message),
            source: Some(EventSource {
                component: Some(news.from.to_owned()),
                host: None,
            }),
            reporting_component: Some(news.from.to_owned()),
            reporting_instance: Some(String::new()),
            first_timestamp: now.clone(),
            last_timestamp: now,
            count: Some(1),
            ..Event::default()
        }
    }
}

/// How controllers write.
pub(crate) fn writing() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// How controllers patch.
pub(crate) fn patching() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
