//! The second Deployment does the scheduling, and the web server does not.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment as DeploymentObject;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use prefect_e2e_scenarios::Component;
use serde_json::json;

use super::{Broken, Seen, Verdict};
use crate::{
    deploy::reference,
    deployment::Deployment,
    diagnosis::Diagnosis,
    prefect::{Prefect, expect_ok},
    step::Progress,
};

/// How long without a new run proves that nobody schedules. The scheduler's loop is set to a second or
/// so by the scenarios' values; by default it is five.
const QUIET: Duration = Duration::from_secs(8);

/// Runs of a scheduled deployment appear, stop appearing when the second Deployment is scaled to 0, and
/// appear again when it is back.
pub(crate) async fn schedule(deployment: &Deployment, patience: Duration, progress: &Progress) -> Seen {
    let server = deployment.container(Component::Server)?;
    if !server["args"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|argument| argument == "--no-services")
    {
        return Err(Broken::new("the web server runs background services too")
            .object(reference(deployment.workload(Component::Server)?))
            .expected("--no-services among its arguments", server["args"].to_string()));
    }
    let prefect = Prefect::connect(deployment).await?;
    let flow = prefect.create_flow("prefect-e2e-scheduled").await?;
    let first = prefect.schedule(&flow, "prefect-e2e-first", 3600).await?;
    wait_for_runs(deployment, &prefect, &first, patience, progress).await?;

    scale(deployment, 0, patience).await?;
    let second = prefect.schedule(&flow, "prefect-e2e-second", 3600).await?;
    progress.say("scaled to 0: nothing may be scheduled now");
    tokio::time::sleep(QUIET).await;
    let unwanted = prefect.count_runs(&second).await?;
    if unwanted > 0 {
        return Err(
            Broken::new("runs are scheduled although the second Deployment is scaled to 0")
                .expected("no run", format!("{unwanted} runs")),
        );
    }
    expect_ok(
        "GET /api/health while the second Deployment is scaled to 0",
        &prefect.http.get("/api/health").await?,
    )?;

    scale(deployment, 1, patience).await?;
    wait_for_runs(deployment, &prefect, &second, patience, progress).await?;
    Ok(Verdict::Holds(
        "runs are scheduled by the second Deployment alone".into(),
    ))
}

async fn wait_for_runs(
    deployment: &Deployment,
    prefect: &Prefect,
    scheduled: &str,
    patience: Duration,
    progress: &Progress,
) -> Result<(), Broken> {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        let runs = prefect.count_runs(scheduled).await?;
        if runs > 0 {
            return Ok(());
        }
        progress.say("no run is scheduled yet");
        let diagnosis = Diagnosis::of(&deployment.place).await;
        if let Some(cause) = diagnosis.hopeless().or_else(|| diagnosis.crash_loop(3)) {
            return Err(Broken::new(cause.message)
                .object(cause.object)
                .details(diagnosis.details()));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let diagnosis = Diagnosis::of(&deployment.place).await;
    Err(
        Broken::new("no run of a scheduled deployment appears: the background services do not schedule")
            .object(reference(deployment.workload(Component::BackgroundServices)?))
            .expected("runs", format!("none within {} s", patience.as_secs()))
            .details(diagnosis.details()),
    )
}

async fn scale(deployment: &Deployment, replicas: u32, patience: Duration) -> Result<(), Broken> {
    let name = deployment.workload(Component::BackgroundServices)?.name();
    let api: Api<DeploymentObject> =
        Api::namespaced(deployment.place.client.clone(), &deployment.place.namespace);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch_scale(name, &PatchParams::default(), &patch)
        .await
        .map_err(|error| Broken::cluster(format!("scaling deployment/{name} to {replicas}"), &error))?;
    let begin = Instant::now();
    // one that is ending still schedules
    while deployment
        .pods_to_the_last(Component::BackgroundServices)
        .await?
        .len()
        != replicas as usize
    {
        if begin.elapsed() > patience {
            return Err(Broken::new(format!(
                "deployment/{name} does not scale to {replicas}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
