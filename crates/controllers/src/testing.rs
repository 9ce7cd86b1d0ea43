//! A cluster for tests: the real API within the process, the controllers, and a node that runs nothing
//! but says what becomes of pods by the name of their image: `ready`, `unready`, `succeeds`, `fails`.

use std::{fmt::Debug, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::watcher,
};
use prefect_e2e_api_server::{ApiOptions, ApiServer};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Options, clock::Clock};

/// How long, by the paused clock, a test waits for what it expects.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(crate) const NODE: &str = "node";

pub(crate) struct TestCluster {
    pub(crate) client: Client,
    _tasks: JoinSet<()>,
}

impl TestCluster {
    pub(crate) async fn start() -> Self {
        let client = ApiServer::new(ApiOptions::default()).client();
        let mut tasks = JoinSet::new();
        let options = Options {
            root_ca_pem: Some("PEM".to_owned()),
        };
        tasks.spawn(crate::run(client.clone(), options));
        tasks.spawn(run_node(client.clone()));
        let cluster = Self {
            client,
            _tasks: tasks,
        };
        let node = json!({
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "disk": "fast"}},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        cluster
            .create_in::<k8s_openapi::api::core::v1::Node>(cluster.all(), node)
            .await;
        cluster
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) fn all<K: Resource<DynamicType: Default>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// Creates an object in the namespace `default`.
    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        self.create_in(self.api(), object).await
    }

    pub(crate) async fn create_in<K>(&self, api: Api<K>, object: Value) -> K
    where
        K: Clone + Debug + Serialize + DeserializeOwned,
    {
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap()
    }

    pub(crate) async fn list<K>(&self) -> Vec<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api().list(&ListParams::default()).await.unwrap().items
    }

    /// The objects of a kind in the namespace `default`, as soon as they are as expected.
    pub(crate) async fn until<K>(&self, expected: impl Fn(&[K]) -> bool) -> Vec<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>
            + Clone
            + Debug
            + Send
            + DeserializeOwned
            + 'static,
    {
        let mut changes = Box::pin(watcher(self.api::<K>(), watcher::Config::default()));
        let seen = async {
            loop {
                let objects = self.list().await;
                if expected(&objects) {
                    return objects;
                }
                changes.next().await;
            }
        };
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(objects) => objects,
            Err(_) => panic!("this is not what was expected: {:#?}", self.list::<K>().await),
        }
    }

    /// One object, as soon as it is as expected.
    pub(crate) async fn until_one<K>(&self, name: &str, expected: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>
            + Clone
            + Debug
            + Send
            + DeserializeOwned
            + 'static,
    {
        let found = |object: &K| object.name_any() == name && expected(object);
        let objects = self.until(|objects: &[K]| objects.iter().any(found)).await;
        objects
            .into_iter()
            .find(|object| object.name_any() == name)
            .unwrap()
    }

    /// Waits until the pods are as expected and nothing more happens for a second.
    pub(crate) async fn settled(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// The reasons and messages of events about the object of this name.
    pub(crate) async fn events(&self, object: &str) -> Vec<(String, String)> {
        let mut events: Vec<Event> = self.list().await;
        events.retain(|event| event.involved_object.name.as_deref() == Some(object));
        events.sort_by_key(|event| {
            event
                .metadata
                .resource_version
                .clone()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        });
        let parts = |event: Event| {
            (
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default(),
            )
        };
        events.into_iter().map(parts).collect()
    }

    /// Waits for an event about the object of this name.
    pub(crate) async fn event(&self, object: &str, reason: &str) -> String {
        let is_it = |event: &Event| {
            event.involved_object.name.as_deref() == Some(object) && event.reason.as_deref() == Some(reason)
        };
        let events = self.until(|events: &[Event]| events.iter().any(is_it)).await;
        events
            .into_iter()
            .find(is_it)
            .and_then(|event| event.message)
            .unwrap()
    }
}

/// Does what a kubelet says, without a pod that runs.
async fn run_node(client: Client) {
    let clock = Clock::start();
    let mut events = Box::pin(watcher(
        Api::<Pod>::all(client.clone()),
        watcher::Config::default(),
    ));
    while let Some(event) = events.next().await {
        if let Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) = event {
            let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
            if pod.metadata.deletion_timestamp.is_some() {
                let _ = api
                    .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                    .await;
            } else {
                let _ = tell_status(&api, &pod, &clock).await;
            }
        }
    }
}

async fn tell_status(api: &Api<Pod>, pod: &Pod, clock: &Clock) -> Result<(), kube::Error> {
    let spec = pod.spec.clone().unwrap_or_default();
    let image = spec.containers[0].image.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    if spec.node_name.is_none() || status.phase.as_deref() != Some("Pending") {
        return Ok(());
    }
    let (phase, ready) = match image.as_str() {
        "ready" => ("Running", "True"),
        "succeeds" => ("Succeeded", "False"),
        "fails" => ("Failed", "False"),
        _ => ("Running", "False"),
    };
    let address = pod
        .uid()
        .unwrap()
        .bytes()
        .fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    let status = json!({"status": {
        "phase": phase,
        "podIP": format!("10.244.0.{address}"),
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": ready, "lastTransitionTime": clock.now()},
        ],
    }});
    api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// The template of a pod labelled `app: NAME` with one container.
pub(crate) fn template(name: &str, image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    })
}
