//! A flow run outlives the pods that wrote it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    runtime::wait::{await_condition, conditions},
};
use prefect_e2e_scenarios::DataSurvival;

use super::{Broken, Seen, Verdict, health};
use crate::{deployment::Deployment, prefect::Prefect, step::Progress};

/// Writes a flow run, deletes the pods, and looks for the run once their replacements answer.
pub(crate) async fn outlives(
    deployment: &Deployment,
    survival: &DataSurvival,
    patience: Duration,
    progress: &Progress,
) -> Seen {
    let run = Prefect::connect(deployment)
        .await?
        .write_flow_run("prefect-e2e-survivor")
        .await?;
    let mut deleted = Vec::new();
    for component in &survival.deleting {
        deleted.extend(deployment.delete_pods(*component).await?);
    }
    let names: Vec<String> = deleted.iter().map(ResourceExt::name_any).collect();
    progress.say(format!("waiting for the end of {}", names.join(", ")));
    let pods: Api<Pod> = Api::namespaced(deployment.place.client.clone(), &deployment.place.namespace);
    for pod in &deleted {
        let name = pod.name_any();
        let uid = pod.uid().unwrap_or_default();
        let gone = await_condition(pods.clone(), &name, conditions::is_deleted(&uid));
        if !matches!(tokio::time::timeout(patience, gone).await, Ok(Ok(_))) {
            return Err(Broken::new("a deleted pod does not end").object(format!("pod/{name}")));
        }
    }
    health::become_healthy(deployment, patience, progress).await?;
    Prefect::connect(deployment).await?.find_flow_run(&run).await?;
    Ok(Verdict::Holds(format!(
        "the flow run outlived {}",
        names.join(" and ")
    )))
}
