//! The server answers another pod at the Service's DNS name.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
    runtime::wait::await_condition,
};
use serde_json::json;

use super::{Broken, Seen, Verdict};
use crate::{
    deploy::RUN_LABEL,
    deployment::Deployment,
    diagnosis::Diagnosis,
    exec::{self, Output},
    port_forward::is_ready,
};

const NAME: &str = "prefect-e2e-neighbour";
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for a URL and prints status and body; exit code 1 when there is no answer.
const ASK: &str = "\
import sys, urllib.error, urllib.request
url, host = sys.argv[1], sys.argv[2]
request = urllib.request.Request(url, headers={'Host': host} if host else {})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    answer = opener.open(request, timeout=10)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(str(error))
print(answer.status)
print(answer.read(2000).decode(errors='replace'))
";

/// A pod of the runner's own beside the deployment.
pub(crate) struct Neighbour<'a> {
    deployment: &'a Deployment,
}

impl<'a> Neighbour<'a> {
    /// Starts the pod and waits until it runs.
    pub(crate) async fn start(deployment: &'a Deployment) -> Result<Self, Broken> {
        let place = &deployment.place;
        let pods: Api<Pod> = Api::namespaced(place.client.clone(), &place.namespace);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": NAME, "labels": {RUN_LABEL: place.run, "app": NAME}},
            "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "neighbour",
                    "image": deployment.image,
                    "command": ["sleep", "infinity"],
                    "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
                    "securityContext": {
                        "runAsUser": 1001, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                }],
            },
        }))
        .map_err(|error| Broken::new(format!("the neighbour's pod is malformed: {error}")))?;
        match pods.create(&PostParams::default(), &pod).await {
            Ok(_) => {}
            // an earlier check made it
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Broken::cluster("creating a second pod", &error)),
        }
        let ready = await_condition(pods, NAME, |pod: Option<&Pod>| pod.is_some_and(is_ready));
        if !matches!(tokio::time::timeout(PATIENCE, ready).await, Ok(Ok(_))) {
            let diagnosis = Diagnosis::of(place).await;
            let cause = format!("the second pod does not run within {} s", PATIENCE.as_secs());
            return Err(Broken::new(cause)
                .object(format!("pod/{NAME}"))
                .details(diagnosis.details()));
        }
        Ok(Self { deployment })
    }

    /// Asks for `url` from the pod, naming `host` in the request's head.
    pub(crate) async fn ask(&self, url: &str, host: &str) -> Result<Result<(u16, String), String>, Broken> {
        let command = ["python", "-I", "-c", ASK, url, host];
        let Output {
            stdout,
            stderr,
            success,
        } = exec::run(&self.deployment.place, NAME, "neighbour", &command).await?;
        if !success {
            return Ok(Err(stderr
                .trim()
                .lines()
                .last()
                .unwrap_or("no answer")
                .to_owned()));
        }
        let (status, body) = stdout.split_once('\n').unwrap_or((&stdout, ""));
        Ok(Ok((
            status.trim().parse().unwrap_or_default(),
            body.trim().to_owned(),
        )))
    }

    /// Removes the pod, so that it does not count in later checks.
    pub(crate) async fn remove(self) -> Result<(), Broken> {
        let place = &self.deployment.place;
        let pods: Api<Pod> = Api::namespaced(place.client.clone(), &place.namespace);
        match pods.delete(NAME, &DeleteParams::default().grace_period(0)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Broken::cluster("deleting the second pod", &error)),
            Ok(_) => Ok(()),
        }
    }
}

/// `/api/health` at the Service's DNS name, short and full, from a second pod.
pub(crate) async fn by_dns(deployment: &Deployment) -> Seen {
    let neighbour = Neighbour::start(deployment).await?;
    let (service, port) = (deployment.service()?.name(), deployment.service_port()?);
    let full = format!("{service}.{}.svc.cluster.local", deployment.place.namespace);
    for host in [service, full.as_str()] {
        let url = format!("http://{host}:{port}/api/health");
        match neighbour.ask(&url, "").await? {
            Ok((200, _)) => {}
            Ok((status, body)) => {
                return Err(
                    Broken::new(format!("{url} answers a second pod with {status}")).expected("200", body)
                );
            }
            Err(reason) => {
                return Err(
                    Broken::new(format!("{url} does not answer a second pod")).expected("200", reason)
                );
            }
        }
    }
    neighbour.remove().await?;
    Ok(Verdict::Holds(format!(
        "{service}:{port} and {full}:{port} answer a second pod"
    )))
}
