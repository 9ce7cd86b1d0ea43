//! The controllers together.

use std::{fmt::Debug, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{
        ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
        ServiceAccount,
    },
    discovery::v1::EndpointSlice,
    storage::v1::StorageClass,
};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::{
    autoscaler::{self, Autoscalers},
    claim_protection::{self, ClaimProtection},
    cluster::Cluster,
    deployment::{self, Deployments},
    endpoint::{self, ServiceEndpoints},
    garbage::GarbageCollector,
    informer::Informer,
    job::Jobs,
    kinds::{self, Kind},
    namespace::{self, Namespaces},
    owner::{look_at_each, look_at_owner},
    queue::{Queue, Reconciler, Work},
    replica_set::ReplicaSets,
    scheduler::{self, Scheduler},
    service_account::{self, NamespaceDefaults},
    stateful_set::StatefulSets,
    volume_binder::VolumeBinder,
};

/// The pause before the API is asked again for its kinds.
const DISCOVERY_PAUSE: Duration = Duration::from_millis(100);

/// What can be set when the controllers start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The certificate, in PEM, by which pods recognise the API: the ConfigMap `kube-root-ca.crt` of
    /// each namespace. Without it there is no such ConfigMap.
    pub root_ca_pem: Option<String>,
}

/// Runs all controllers against the API of `client`. Never returns; they end when the future is dropped.
pub async fn run(client: Client, options: Options) {
    let kinds = discover_patiently(&client).await;
    let mut controllers = Controllers {
        cluster: Cluster::new(client),
        watches: Watches::new(),
        tasks: JoinSet::new(),
    };
    controllers.start_workloads();
    controllers.start_autoscalers(&kinds);
    controllers.start_scheduler();
    controllers.start_network();
    controllers.start_storage();
    controllers.start_namespaces(options, &kinds);
    // what listens is there: no change is missed
    controllers.follow_all();
    while controllers.tasks.join_next().await.is_some() {}
}

async fn discover_patiently(client: &Client) -> Vec<Arc<Kind>> {
    loop {
        match kinds::discover(client).await {
            Ok(kinds) => return kinds,
            Err(error) => tracing::warn!(%error, "cannot learn what kinds the API serves; trying again"),
        }
        tokio::time::sleep(DISCOVERY_PAUSE).await;
    }
}

/// The watches that controllers share.
#[derive(Clone)]
struct Watches {
    autoscalers: Informer<HorizontalPodAutoscaler>,
    claims: Informer<PersistentVolumeClaim>,
    classes: Informer<StorageClass>,
    deployments: Informer<Deployment>,
    endpoints: Informer<Endpoints>,
    jobs: Informer<Job>,
    maps: Informer<ConfigMap>,
    namespaces: Informer<Namespace>,
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    replica_sets: Informer<ReplicaSet>,
    service_accounts: Informer<ServiceAccount>,
    services: Informer<Service>,
    stateful_sets: Informer<StatefulSet>,
    slices: Informer<EndpointSlice>,
    volumes: Informer<PersistentVolume>,
}

impl Watches {
    fn new() -> Self {
        Self {
            autoscalers: Informer::new(),
            claims: Informer::new(),
            classes: Informer::new(),
            deployments: Informer::new(),
            endpoints: Informer::new(),
            jobs: Informer::new(),
            maps: Informer::new(),
            namespaces: Informer::new(),
            nodes: Informer::new(),
            pods: Informer::new(),
            replica_sets: Informer::new(),
            service_accounts: Informer::new(),
            services: Informer::new(),
            stateful_sets: Informer::new(),
            slices: Informer::new(),
            volumes: Informer::new(),
        }
    }
}

struct Controllers {
    cluster: Cluster,
    watches: Watches,
    tasks: JoinSet<()>,
}

impl Controllers {
    fn start<R: Reconciler>(&mut self, work: Work<R::Key>, reconciler: R) {
        self.tasks.spawn(work.run(reconciler));
    }

    fn start_workloads(&mut self) {
        let (cluster, watches) = (self.cluster.clone(), self.watches.clone());
        let (queue, work) = Queue::new();
        look_at_each(&watches.replica_sets, &queue);
        look_at_owner(&watches.replica_sets, &watches.pods, &queue);
        self.start(
            work,
            ReplicaSets {
                cluster: cluster.clone(),
            },
        );

        let (queue, work) = Queue::new();
        look_at_each(&watches.deployments, &queue);
        look_at_owner(&watches.deployments, &watches.replica_sets, &queue);
        deployment::look_at_gone_pods(&watches.pods, &watches.replica_sets, &queue);
        self.start(work, Deployments { cluster });

        let (queue, work) = Queue::new();
        look_at_each(&watches.stateful_sets, &queue);
        look_at_owner(&watches.stateful_sets, &watches.pods, &queue);
        self.start(
            work,
            StatefulSets {
                cluster: self.cluster.clone(),
            },
        );

        let (queue, work) = Queue::new();
        look_at_each(&watches.jobs, &queue);
        look_at_owner(&watches.jobs, &watches.pods, &queue);
        self.start(
            work,
            Jobs {
                cluster: self.cluster.clone(),
            },
        );
    }

    fn start_autoscalers(&mut self, kinds: &[Arc<Kind>]) {
        let watches = self.watches.clone();
        let (queue, work) = Queue::new();
        look_at_each(&watches.autoscalers, &queue);
        autoscaler::look_at_autoscalers_of(&watches.autoscalers, &watches.deployments, &queue);
        autoscaler::look_at_autoscalers_of(&watches.autoscalers, &watches.replica_sets, &queue);
        autoscaler::look_at_autoscalers_of(&watches.autoscalers, &watches.stateful_sets, &queue);
        let (cluster, kinds) = (self.cluster.clone(), kinds.to_vec());
        self.start(work, Autoscalers { cluster, kinds });
    }

    fn start_scheduler(&mut self) {
        let (cluster, watches) = (self.cluster.clone(), self.watches.clone());
        let (queue, work) = Queue::new();
        scheduler::look_at_pods(&watches.pods, &queue);
        scheduler::look_after(&watches.nodes, &queue);
        scheduler::look_after(&watches.claims, &queue);
        self.start(work, Scheduler { cluster });
    }

    fn start_network(&mut self) {
        let (cluster, watches) = (self.cluster.clone(), self.watches.clone());
        let (queue, work) = Queue::new();
        look_at_each(&watches.services, &queue);
        endpoint::look_at_selecting(&watches.services, &watches.pods, &queue);
        endpoint::look_at_service_of(&watches.slices, &queue);
        endpoint::look_at_service_of(&watches.endpoints, &queue);
        let pods = watches.pods;
        self.start(work, ServiceEndpoints { cluster, pods });
    }

    fn start_storage(&mut self) {
        let (cluster, watches) = (self.cluster.clone(), self.watches.clone());
        let (queue, work) = Queue::new();
        VolumeBinder::listen(&watches.claims, &watches.volumes, &watches.classes, &queue);
        self.start(
            work,
            VolumeBinder {
                cluster: cluster.clone(),
            },
        );

        let (queue, work) = Queue::new();
        look_at_each(&watches.claims, &queue);
        claim_protection::look_at_claims_of(&watches.pods, &queue);
        self.start(work, ClaimProtection { cluster });
    }

    /// What concerns objects of all kinds: the beginning and the end of namespaces, and owners.
    fn start_namespaces(&mut self, options: Options, kinds: &[Arc<Kind>]) {
        let (cluster, watches) = (self.cluster.clone(), self.watches.clone());
        let (queue, work) = Queue::new();
        service_account::look_at_namespace_of(&watches.namespaces, &queue);
        service_account::look_at_namespace_of(&watches.service_accounts, &queue);
        service_account::look_at_namespace_of(&watches.maps, &queue);
        let root_ca_pem = options.root_ca_pem;
        self.start(
            work,
            NamespaceDefaults {
                cluster: cluster.clone(),
                root_ca_pem,
            },
        );

        let (gone, namespace_work) = Queue::new();
        namespace::look_at_leaving(&watches.namespaces, &gone);
        let (queue, garbage_work) = Queue::new();
        let collector = GarbageCollector::new(cluster.clone(), kinds.to_vec(), queue);
        for (kind, informer) in kinds::watches(kinds) {
            collector.listen(&kind, &informer);
            namespace::look_when_gone(&watches.namespaces, &informer, &gone);
            let all = Api::all_with(cluster.client.clone(), &kind.resource);
            self.tasks.spawn(informer.follow(all));
        }
        self.start(garbage_work, collector);
        self.start(
            namespace_work,
            Namespaces {
                cluster,
                kinds: kinds.to_vec(),
            },
        );
    }

    fn follow_all(&mut self) {
        let watches = self.watches.clone();
        self.follow(watches.autoscalers);
        self.follow(watches.claims);
        self.follow(watches.classes);
        self.follow(watches.deployments);
        self.follow(watches.endpoints);
        self.follow(watches.jobs);
        self.follow(watches.maps);
        self.follow(watches.namespaces);
        self.follow(watches.nodes);
        self.follow(watches.pods);
        self.follow(watches.replica_sets);
        self.follow(watches.service_accounts);
        self.follow(watches.services);
        self.follow(watches.stateful_sets);
        self.follow(watches.slices);
        self.follow(watches.volumes);
    }

    fn follow<K>(&mut self, informer: Informer<K>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.tasks.spawn(informer.follow(self.cluster.all()));
    }
}

#[cfg(test)]
mod tests {
    use kube::api::ListParams;
    use serde_json::json;

    use super::*;
    use crate::testing::{TestCluster, template};

    async fn version(cluster: &TestCluster) -> Option<String> {
        let listed = cluster.all::<Pod>().list(&ListParams::default()).await.unwrap();
        listed.metadata.resource_version
    }

    #[tokio::test(start_paused = true)]
    async fn controllers_write_nothing_once_all_is_as_it_should_be() {
        let cluster = TestCluster::start().await;
        let labels = json!({"matchLabels": {"app": "a"}});
        let workload = |image: &str| {
            json!({
                "metadata": {"name": image},
                "spec": {
                    "selector": {"matchLabels": {"app": image}}, "replicas": 2, "serviceName": "s",
                    "template": template(image, image), "minReadySeconds": 3,
                    "volumeClaimTemplates": [{
                        "metadata": {"name": "data"},
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                    }],
                },
            })
        };
        for image in ["ready", "unready"] {
            cluster.create::<StatefulSet>(workload(image)).await;
            let mut deployment = workload(image);
            deployment["spec"]["selector"] = labels.clone();
            deployment["spec"]["template"] = template("a", image);
            for field in ["serviceName", "volumeClaimTemplates"] {
                deployment["spec"].as_object_mut().unwrap().remove(field);
            }
            cluster.create::<Deployment>(deployment).await;
            let autoscaler = json!({
                "metadata": {"name": image},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": image},
                    "maxReplicas": 3,
                },
            });
            cluster.create::<HorizontalPodAutoscaler>(autoscaler).await;
        }
        let service = json!({
            "metadata": {"name": "s"},
            "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]},
        });
        cluster.create::<Service>(service).await;
        let mut pending = template("pending", "ready");
        pending["metadata"]["name"] = "pending".into();
        pending["spec"]["nodeSelector"] = json!({"no": "where"});
        cluster.create::<Pod>(pending).await;
        let mut job = template("job", "fails");
        job["spec"]["restartPolicy"] = "Never".into();
        let job = json!({"metadata": {"name": "job"}, "spec": {"template": job, "backoffLimit": 1}});
        cluster.create::<Job>(job).await;
        // the deadlines of rollouts have to pass as well
        tokio::time::sleep(Duration::from_secs(900)).await;
        let before = version(&cluster).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(version(&cluster).await, before);
    }
}
