//! As many pods as promised are ready, of every part, and they stay so.

use std::time::{Duration, Instant};

use kube::ResourceExt;
use prefect_e2e_scenarios::Component;

use super::{Broken, Seen, Verdict};
use crate::{
    deploy::reference, deployment::Deployment, diagnosis::Diagnosis, port_forward::is_ready, step::Progress,
};

const COMPONENTS: [Component; 3] = [
    Component::Server,
    Component::BackgroundServices,
    Component::Database,
];

/// Waits until every workload has the pods that it asks for, all ready; `exactly` is what the scenario
/// says of the server's.
pub(crate) async fn ready(
    deployment: &Deployment,
    exactly: Option<usize>,
    patience: Duration,
    progress: &Progress,
) -> Seen {
    let begin = Instant::now();
    // whatever the chart asks for, an autoscaler decides
    let scaled_from = deployment.any("HorizontalPodAutoscaler").map(|autoscaler| {
        let least = autoscaler.json()["spec"]["minReplicas"].as_u64();
        least.map_or(1, |count| usize::try_from(count).unwrap_or(usize::MAX))
    });
    let mut told = Vec::new();
    for component in COMPONENTS {
        let Ok(workload) = deployment.workload(component) else {
            continue;
        };
        let asked = workload.json()["spec"]["replicas"]
            .as_u64()
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let (wanted, least) = match (component, scaled_from) {
            (Component::Server, Some(least)) => (exactly, least),
            (Component::Server, None) => (exactly.or(asked), 1),
            _ => (asked, 1),
        };
        let name = reference(workload);
        loop {
            let pods = deployment.pods(component).await?;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            let complete = wanted.map_or(ready >= least, |wanted| ready == wanted && pods.len() == wanted);
            if complete {
                told.push(format!("{name} {ready} of {ready}"));
                break;
            }
            let wanted = wanted.unwrap_or(least);
            progress.say(format!("{name} has {ready} of {wanted} pods ready"));
            if begin.elapsed() > patience {
                let diagnosis = Diagnosis::of(&deployment.place).await;
                let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
                let cause = match diagnosis.cause() {
                    Some(cause) => cause.message,
                    None => format!("{name} has not the pods that it should have"),
                };
                return Err(Broken::new(cause)
                    .object(name)
                    .expected(
                        format!("{wanted} ready pods"),
                        format!("{ready} ready of {}", names.join(", ")),
                    )
                    .details(diagnosis.details()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(Verdict::Holds(told.join(", ")))
}
