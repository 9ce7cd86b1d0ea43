//! Which versions of kinds a cluster knows.

use crate::release::KubeVersion;

/// The API versions that the charts choose for a version of Kubernetes.
pub(crate) struct Capabilities {
    kube: KubeVersion,
}

impl Capabilities {
    pub(crate) fn of(kube: KubeVersion) -> Self {
        Self { kube }
    }

    fn before(&self, minor: u32) -> bool {
        self.kube < KubeVersion::new(1, minor)
    }

    pub(crate) fn deployment(&self) -> &'static str {
        if self.before(14) {
            "extensions/v1beta1"
        } else {
            "apps/v1"
        }
    }

    pub(crate) fn stateful_set(&self) -> &'static str {
        if self.before(14) {
            "apps/v1beta1"
        } else {
            "apps/v1"
        }
    }

    /// The chart asks without its context, so that the cluster's version never reaches the answer.
    pub(crate) fn horizontal_pod_autoscaler(&self) -> &'static str {
        "autoscaling/v2"
    }

    /// Whether the targets of a HorizontalPodAutoscaler are objects.
    pub(crate) fn has_metric_targets(&self) -> bool {
        !self.before(23)
    }

    pub(crate) fn ingress(&self) -> &'static str {
        if self.before(14) {
            "extensions/v1beta1"
        } else if self.before(19) {
            "networking.k8s.io/v1beta1"
        } else {
            "networking.k8s.io/v1"
        }
    }

    /// Whether an ingress's backend is an object.
    pub(crate) fn has_service_backend(&self) -> bool {
        !self.before(19)
    }

    pub(crate) fn has_path_type(&self) -> bool {
        !self.before(18)
    }

    pub(crate) fn has_ingress_class_name(&self) -> bool {
        !self.before(18)
    }
}
