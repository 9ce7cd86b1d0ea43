//! The kinds that the API serves: what clients call them, how they are decoded, which parts they have.

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, Resource,
    api::{
        apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::{CronJob, Job},
        coordination::v1::Lease,
        core::v1::{
            ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume,
            PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service, ServiceAccount,
        },
        discovery::v1::EndpointSlice,
        networking::v1::{Ingress, IngressClass, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
        scheduling::v1::PriorityClass,
        storage::v1::StorageClass,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A kind of object and how it is served.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) short_names: &'static [&'static str],
    /// Listed by `kubectl get all`.
    pub(crate) in_all: bool,
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    pub(crate) has_scale: bool,
    /// Decodes into the kind's type and encodes again: what survives is what the kind knows.
    pub(crate) canonical: fn(&Value) -> Result<Value, serde_json::Error>,
}

impl Kind {
    const fn base<T>(namespaced: bool) -> Self
    where
        T: Resource + Serialize + DeserializeOwned,
    {
        Self {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            plural: T::URL_PATH_SEGMENT,
            short_names: &[],
            in_all: false,
            namespaced,
            has_status: false,
            has_scale: false,
            canonical: canonical::<T>,
        }
    }

    const fn namespaced<T>() -> Self
    where
        T: Resource<Scope = NamespaceResourceScope> + Serialize + DeserializeOwned,
    {
        Self::base::<T>(true)
    }

    const fn cluster<T>() -> Self
    where
        T: Resource<Scope = ClusterResourceScope> + Serialize + DeserializeOwned,
    {
        Self::base::<T>(false)
    }

    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    const fn all(mut self) -> Self {
        self.in_all = true;
        self
    }

    const fn status(mut self) -> Self {
        self.has_status = true;
        self
    }

    const fn scale(mut self) -> Self {
        self.has_scale = true;
        self
    }

    /// `apps/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, as messages name a resource.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    pub(crate) fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    pub(crate) fn singular(&self) -> String {
        self.kind.to_lowercase()
    }

    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }
}

fn canonical<T: Serialize + DeserializeOwned>(value: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(value)?)
}

/// All kinds, core group first.
pub(crate) static KINDS: &[Kind] = &[
    Kind::namespaced::<ConfigMap>().short(&["cm"]),
    Kind::namespaced::<Endpoints>().short(&["ep"]),
    Kind::namespaced::<Event>().short(&["ev"]),
    Kind::namespaced::<LimitRange>().short(&["limits"]),
    Kind::cluster::<Namespace>().short(&["ns"]).status(),
    Kind::cluster::<Node>().short(&["no"]).status(),
    Kind::namespaced::<PersistentVolumeClaim>()
        .short(&["pvc"])
        .status(),
    Kind::cluster::<PersistentVolume>().short(&["pv"]).status(),
    Kind::namespaced::<Pod>().short(&["po"]).all().status(),
    Kind::namespaced::<ResourceQuota>().short(&["quota"]).status(),
    Kind::namespaced::<Secret>(),
    Kind::namespaced::<ServiceAccount>().short(&["sa"]),
    Kind::namespaced::<Service>().short(&["svc"]).all().status(),
    Kind::namespaced::<ControllerRevision>(),
    Kind::namespaced::<DaemonSet>().short(&["ds"]).all().status(),
    Kind::namespaced::<Deployment>()
        .short(&["deploy"])
        .all()
        .status()
        .scale(),
    Kind::namespaced::<ReplicaSet>()
        .short(&["rs"])
        .all()
        .status()
        .scale(),
    Kind::namespaced::<StatefulSet>()
        .short(&["sts"])
        .all()
        .status()
        .scale(),
    Kind::namespaced::<HorizontalPodAutoscaler>()
        .short(&["hpa"])
        .all()
        .status(),
    Kind::namespaced::<CronJob>().short(&["cj"]).all().status(),
    Kind::namespaced::<Job>().all().status(),
    Kind::namespaced::<Lease>(),
    Kind::namespaced::<EndpointSlice>(),
    Kind::cluster::<IngressClass>(),
    Kind::namespaced::<Ingress>().short(&["ing"]).status(),
    Kind::namespaced::<NetworkPolicy>().short(&["netpol"]),
    Kind::namespaced::<PodDisruptionBudget>().short(&["pdb"]).status(),
    Kind::cluster::<ClusterRoleBinding>(),
    Kind::cluster::<ClusterRole>(),
    Kind::namespaced::<RoleBinding>(),
    Kind::namespaced::<Role>(),
    Kind::cluster::<PriorityClass>().short(&["pc"]),
    Kind::cluster::<StorageClass>().short(&["sc"]),
];

/// The kind served as `plural` of `group`/`version`.
pub(crate) fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// The kind of this name; names are unique among the kinds served.
///
/// # Panics
/// Never for names written in this crate: each is in [`KINDS`], which a test checks.
pub(crate) fn named(name: &str) -> &'static Kind {
    #[expect(
        clippy::expect_used,
        reason = "called with the literal names of kinds in the table"
    )]
    KINDS
        .iter()
        .find(|kind| kind.kind == name)
        .expect("a kind of the table")
}

/// The groups and their versions, core first.
pub(crate) fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups = Vec::new();
    for kind in KINDS {
        if !groups.contains(&(kind.group, kind.version)) {
            groups.push((kind.group, kind.version));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_unique_by_name_and_by_resource() {
        for (index, kind) in KINDS.iter().enumerate() {
            for other in &KINDS[index + 1..] {
                assert_ne!(kind.kind, other.kind);
                assert_ne!(kind.qualified(), other.qualified());
                assert!(
                    kind.short_names
                        .iter()
                        .all(|name| !other.short_names.contains(name))
                );
            }
        }
    }
}
