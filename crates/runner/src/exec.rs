//! Commands in a container of a pod, as `kubectl exec` runs them.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::AttachParams};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::{check::Broken, deploy::Place};

/// What a command said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) success: bool,
}

/// Runs `command` in `container` of `pod` and waits for its end.
pub(crate) async fn run(
    place: &Place,
    pod: &str,
    container: &str,
    command: &[&str],
) -> Result<Output, Broken> {
    let pods: Api<Pod> = Api::namespaced(place.client.clone(), &place.namespace);
    let program = command.first().copied().unwrap_or_default();
    let parameters = AttachParams::default()
        .container(container)
        .stdin(false)
        .stdout(true)
        .stderr(true);
    let mut process = pods
        .exec(pod, command.iter().copied(), &parameters)
        .await
        .map_err(|error| Broken::cluster(format!("running {program} in pod/{pod}"), &error))?;
    let status = process.take_status();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let (stdout, stderr, status) = tokio::join!(read(stdout), read(stderr), async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    });
    let success = status.and_then(|status| status.status).as_deref() == Some("Success");
    Ok(Output {
        stdout,
        stderr,
        success,
    })
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // what came before the connection broke is told all the same
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
