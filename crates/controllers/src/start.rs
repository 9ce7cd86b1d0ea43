//! The controllers together.

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Node, PersistentVolumeClaim, Pod},
};
use kube::Client;
use tokio::task::JoinSet;

use crate::{
    cluster::Cluster,
    deployment::Deployments,
    informer::Informer,
    owner::{look_at_each, look_at_owner},
    queue::Queue,
    replica_set::ReplicaSets,
    scheduler::{self, Scheduler},
};

/// What can be set when the controllers start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The certificate, in PEM, by which pods recognise the API: the ConfigMap `kube-root-ca.crt` of
    /// each namespace. Without it there is no such ConfigMap.
    pub root_ca_pem: Option<String>,
}

/// Runs all controllers against the API of `client`. Never returns; they end when the future is dropped.
pub async fn run(client: Client, options: Options) {
    let cluster = Cluster::new(client);
    let mut tasks = JoinSet::new();
    let pods: Informer<Pod> = Informer::new();
    let replica_sets: Informer<ReplicaSet> = Informer::new();

    let deployments: Informer<Deployment> = Informer::new();

    let (queue, work) = Queue::new();
    look_at_each(&deployments, &queue);
    look_at_owner(&deployments, &replica_sets, &queue);
    tasks.spawn(work.run(Deployments {
        cluster: cluster.clone(),
    }));

    let (queue, work) = Queue::new();
    look_at_each(&replica_sets, &queue);
    look_at_owner(&replica_sets, &pods, &queue);
    tasks.spawn(work.run(ReplicaSets {
        cluster: cluster.clone(),
    }));

    let nodes: Informer<Node> = Informer::new();
    let claims: Informer<PersistentVolumeClaim> = Informer::new();
    let (queue, work) = Queue::new();
    scheduler::look_at_pods(&pods, &queue);
    scheduler::look_after(&nodes, &queue);
    scheduler::look_after(&claims, &queue);
    tasks.spawn(work.run(Scheduler {
        cluster: cluster.clone(),
    }));

    tasks.spawn(claims.follow(cluster.all()));
    tasks.spawn(nodes.follow(cluster.all()));
    tasks.spawn(deployments.follow(cluster.all()));
    tasks.spawn(pods.follow(cluster.all()));
    tasks.spawn(replica_sets.follow(cluster.all()));
    let _ = options;
    while tasks.join_next().await.is_some() {}
}
