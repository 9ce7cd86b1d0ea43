//! A client of the cluster that a kubeconfig leads to.

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::TargetError;

/// Connects to a context, the current one if `None`, and gives the URL of its API server, too; `about`
/// names the cluster at that URL.
pub(super) async fn connect(
    kubeconfig: Kubeconfig,
    context: Option<String>,
    about: impl FnOnce(&str) -> String,
) -> Result<(kube::Client, String), TargetError> {
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    // that a Service has no endpoints is an answer, not a reason to wait
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let failed = |source| TargetError::Api {
        about: about(&server),
        source: Box::new(source),
    };
    let client = match kube::Client::try_from(config) {
        Ok(client) => client,
        Err(error) => return Err(failed(error)),
    };
    match client.apiserver_version().await {
        Ok(_) => Ok((client, server)),
        Err(error) => Err(failed(error)),
    }
}
