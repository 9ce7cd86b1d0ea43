//! A rollout completes, and the server is away no longer than it allows.

use std::time::{Duration, Instant};

use k8s_openapi::api::{apps::v1::Deployment as DeploymentObject, core::v1::Pod};
use kube::Api;
use prefect_e2e_scenarios::Component;

use super::{Broken, Seen, Verdict, health};
use crate::{deploy::reference, deployment::Deployment, diagnosis::Diagnosis, step::Progress};

const PAUSE: Duration = Duration::from_millis(200);

/// What a rollout whose pods tell when they are ready may be away: connections that end with the old pod.
const BLINK: Duration = Duration::from_secs(2);

/// Waits until the new pods are all and answer, asking for health all the while.
///
/// Without a readiness probe a pod counts as ready before its server listens, so the rollout allows an
/// absence of one boot; with one it allows none.
pub(crate) async fn complete(deployment: &Deployment, patience: Duration, progress: &Progress) -> Seen {
    let begin = Instant::now();
    let workload = deployment.workload(Component::Server)?;
    let api: Api<DeploymentObject> =
        Api::namespaced(deployment.place.client.clone(), &deployment.place.namespace);
    let (mut longest, mut away_since) = (Duration::ZERO, None::<Instant>);
    loop {
        let object = api.get(workload.name()).await;
        let object =
            object.map_err(|error| Broken::cluster(format!("reading {}", reference(workload)), &error))?;
        let pods = deployment.pods_to_the_last(Component::Server).await?;
        let rolled_out = is_rolled_out(&object) && !pods.iter().any(is_ending);
        // asked after the last old pod was seen gone, so that it is a new one that answers
        let healthy = health::ask(deployment, "/api/health")
            .await
            .is_ok_and(|answer| answer.status == 200);
        match (healthy, away_since) {
            (true, _) => away_since = None,
            (false, None) => away_since = Some(Instant::now()),
            (false, Some(_)) => {}
        }
        longest = longest.max(away_since.map(|since| since.elapsed()).unwrap_or_default());
        if rolled_out && healthy {
            break;
        }
        if begin.elapsed() > patience {
            let diagnosis = Diagnosis::of(&deployment.place).await;
            let cause = diagnosis.cause().map(|cause| cause.message);
            return Err(
                Broken::new(cause.unwrap_or_else(|| "the rollout does not complete".into()))
                    .object(reference(workload))
                    .expected(
                        "all pods of the new revision, answering",
                        format!("rolled out: {rolled_out}, healthy: {healthy}"),
                    )
                    .details(diagnosis.details()),
            );
        }
        progress.say(if rolled_out {
            "waiting for the new pod's server"
        } else {
            "replacing pods"
        });
        tokio::time::sleep(PAUSE).await;
    }
    let allowed = if deployment.is_on("/server/readinessProbe/enabled") {
        BLINK
    } else {
        patience
    };
    let away = format!("{:.1} s without a healthy answer", longest.as_secs_f64());
    if longest > allowed {
        return Err(
            Broken::new("the server was away for longer than the rollout allows")
                .object(reference(workload))
                .expected(format!("at most {} s", allowed.as_secs()), away),
        );
    }
    Ok(Verdict::Holds(away))
}

fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// As `kubectl rollout status` decides it.
fn is_rolled_out(deployment: &DeploymentObject) -> bool {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let Some(status) = &deployment.status else {
        return false;
    };
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas == Some(wanted)
        && status.replicas == Some(wanted)
        && status.available_replicas == Some(wanted)
}
