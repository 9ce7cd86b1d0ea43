//! What a small cluster that has nothing of the user's cannot give.

use prefect_e2e_images::ImageStore;
use prefect_e2e_scenarios::Upgrade;
use serde_json::{Map, Value, json};

use super::Draft;

/// Where the chart has settings of pods.
pub(super) const WORKLOADS: [&str; 3] = ["server", "backgroundServices", "postgresql.primary"];

/// The most servers: each takes seconds of CPU to boot.
const PODS: u64 = 2;

const ELSEWHERE: &str = "a scenario has a namespace of its own";
const NO_SUCH_NODE: &str = "the cluster has one node, without labels of yours";
const NO_SUCH_CLASS: &str = "the cluster has a default class alone";
const NO_REGISTRY: &str = "the embedded cluster makes the image from public packages";

impl Draft {
    /// Leaves out what the cluster does not have.
    pub(super) fn fit_the_cluster(&mut self) {
        self.ask_nothing_of_the_outside();
        self.leave_out("namespaceOverride", ELSEWHERE);
        for workload in WORKLOADS {
            for setting in ["nodeSelector", "affinity", "topologySpreadConstraints"] {
                self.leave_out(&format!("{workload}.{setting}"), NO_SUCH_NODE);
            }
            self.leave_out(&format!("{workload}.priorityClassName"), NO_SUCH_CLASS);
        }
        for class in [
            "global.storageClass",
            "sqlite.persistence.storageClassName",
            "postgresql.primary.persistence.storageClass",
        ] {
            self.leave_out(class, NO_SUCH_CLASS);
        }
        for claim in [
            "postgresql.primary.persistence.existingClaim",
            "service.clusterIP",
        ] {
            self.leave_out(claim, "it belongs to your cluster");
        }
        for workload in ["server", "backgroundServices"] {
            self.leave_out(&format!("{workload}.extraContainers"), NO_REGISTRY);
        }
        for account in [
            "serviceAccount",
            "backgroundServices.serviceAccount",
            "postgresql.serviceAccount",
        ] {
            if self.given(&format!("{account}.create")) == Some(&false.into()) {
                self.set(
                    &format!("{account}.create"),
                    true,
                    "yours exists already; here it is made",
                );
            }
        }
        self.take_a_host_of_its_own();
        self.use_public_images();
        self.boot_few_servers();
    }

    fn ask_nothing_of_the_outside(&mut self) {
        let analytics = json!({"name": "PREFECT_SERVER_ANALYTICS_ENABLED", "value": "false"});
        self.add_env(analytics, "nothing is asked of the outside");
    }

    /// Adds a variable to all pods, unless the user sets it.
    pub(super) fn add_env(&mut self, variable: Value, why: &str) {
        const KEY: &str = "global.prefect.env";
        let mut list = self
            .given(KEY)
            .and_then(|list| list.as_array().cloned())
            .unwrap_or_default();
        if !list.iter().any(|one| one["name"] == variable["name"]) {
            list.push(variable);
            self.set(KEY, list, why);
        }
    }

    /// An Ingress controller routes a host once, and scenarios run side by side.
    fn take_a_host_of_its_own(&mut self) {
        if !self.is_on("ingress.enabled", false) {
            return;
        }
        let yours = match self.given_text("ingress.host.hostname") {
            "" => "prefect.local",
            host => host,
        };
        let why = format!("yours is {yours}, which only one scenario at a time could have");
        self.set("ingress.host.hostname", format!("{}.{yours}", self.name), why);
    }

    fn use_public_images(&mut self) {
        for secrets in [
            "global.prefect.image.pullSecrets",
            "global.imagePullSecrets",
            "postgresql.image.pullSecrets",
        ] {
            self.leave_out(secrets, NO_REGISTRY);
        }
        self.leave_out("global.imageRegistry", NO_REGISTRY);
        let tag = match self.given_text("global.prefect.image.prefectTag") {
            "" => "3-latest",
            tag => tag,
        };
        let repository = self.given_text("global.prefect.image.repository");
        if !repository.is_empty() && !ImageStore::knows(&format!("{repository}:{tag}")) {
            self.leave_out("global.prefect.image.repository", NO_REGISTRY);
        }
        if self.is_on("postgresql.enabled", true) && !self.is_on("sqlite.enabled", false) {
            self.leave_out("postgresql.image.registry", NO_REGISTRY);
            let repository = self.given_text("postgresql.image.repository");
            if matches!(repository, "" | "bitnami/postgresql") || !ImageStore::knows(repository) {
                let why = "the chart's default left the public catalogue; this is where its images went";
                self.set("postgresql.image.repository", "bitnamilegacy/postgresql", why);
            }
        }
    }

    /// Starts with one server, and has more of them, as the user, once the database has its tables.
    fn boot_few_servers(&mut self) {
        const ALONE: &str = "servers that boot at once on an empty database race for its tables";
        if self.is_on("sqlite.enabled", false) {
            return;
        }
        let mut more = Map::new();
        for (above, key) in [("", "replicaCount"), ("autoscaling", "minReplicas")] {
            let path = ["server", above, key].into_iter().filter(|step| !step.is_empty());
            let path = path.collect::<Vec<_>>().join(".");
            let asked = self.given(&path).and_then(Value::as_u64).unwrap_or_default();
            if asked <= 1 {
                continue;
            }
            self.set(&path, 1, format!("yours is {asked}, rolled out below: {ALONE}"));
            let few = Value::from(asked.min(PODS));
            let count = if above.is_empty() { few } else { json!({key: few}) };
            more.insert(if above.is_empty() { key } else { above }.to_owned(), count);
        }
        if more.is_empty() {
            return;
        }
        if !self.is_on("server.readinessProbe.enabled", false) {
            let why = "of several servers only those are asked that listen";
            self.set("server.readinessProbe.enabled", true, why);
        }
        self.file.upgrades = vec![Upgrade {
            description: format!("as many servers as yours has, up to {PODS}"),
            values: Map::from_iter([("server".to_owned(), more.into())]),
        }];
    }
}
