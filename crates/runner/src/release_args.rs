//! The part of the command line that says a release.

use clap::Args;
use prefect_e2e_renderer::{KubeVersion, Release};

/// A release: name, namespace, version of the cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleaseArgs {
    /// Name of the release
    #[arg(value_name = "RELEASE", default_value = "prefect-server")]
    name: String,
    /// Namespace of the release
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Version of Kubernetes to render for
    #[arg(long, value_name = "VERSION", default_value_t = KubeVersion::default())]
    kube_version: KubeVersion,
}

impl ReleaseArgs {
    pub(crate) fn release(&self) -> Release {
        Release {
            kube_version: self.kube_version,
            ..Release::new(&self.name, &self.namespace)
        }
    }
}
