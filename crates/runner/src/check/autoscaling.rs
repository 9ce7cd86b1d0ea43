//! The autoscaler is there, points at the server, and asks for what the values name.

use prefect_e2e_scenarios::Component;

use super::{Broken, Seen, Verdict};
use crate::{deploy::reference, deployment::Deployment};

/// The object in the cluster agrees with the values.
pub(crate) async fn configured(deployment: &Deployment) -> Seen {
    let autoscaler = deployment.any("HorizontalPodAutoscaler");
    let Some(autoscaler) = autoscaler else {
        return Err(Broken::new(
            "server.autoscaling.enabled renders no HorizontalPodAutoscaler",
        ));
    };
    let spec = &autoscaler.json()["spec"];
    let server = deployment.workload(Component::Server)?;
    let target = &spec["scaleTargetRef"];
    if target["kind"] != server.kind() || target["name"] != server.name() {
        return Err(Broken::new("the autoscaler does not point at the server")
            .object(reference(autoscaler))
            .expected(reference(server), target.to_string()));
    }
    for key in ["minReplicas", "maxReplicas"] {
        let value = deployment.value(&format!("/server/autoscaling/{key}"));
        if spec[key] != *value {
            return Err(Broken::new(format!("the autoscaler's {key} is not the values'"))
                .object(reference(autoscaler))
                .expected(value.to_string(), spec[key].to_string()));
        }
    }
    Ok(Verdict::Holds(format!(
        "{} between {} and {}",
        reference(server),
        spec["minReplicas"],
        spec["maxReplicas"]
    )))
}
