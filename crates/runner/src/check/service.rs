//! The Service is as the values ask.

use super::{Broken, Seen, Verdict};
use crate::{deploy::reference, deployment::Deployment};

/// Compares port, type and annotations of the Service with the values.
pub(crate) async fn agrees(deployment: &Deployment) -> Seen {
    let service = deployment.service()?;
    let spec = &service.json()["spec"];
    let promises = [
        (
            "service.port",
            deployment.value("/service/port"),
            &spec["ports"][0]["port"],
        ),
        (
            "service.targetPort",
            deployment.value("/service/targetPort"),
            &spec["ports"][0]["targetPort"],
        ),
        ("service.type", deployment.value("/service/type"), &spec["type"]),
    ];
    for (key, wanted, found) in promises {
        if wanted != found {
            return Err(Broken::new(format!("the Service is not as {key} asks"))
                .object(reference(service))
                .expected(wanted.to_string(), found.to_string()));
        }
    }
    Ok(Verdict::Holds(format!(
        "{} port {}",
        deployment.text("/service/type"),
        spec["ports"][0]["port"]
    )))
}
