//! The probes of the values are the pod's, and what they ask for is there.

use prefect_e2e_scenarios::Component;
use serde_json::Value;

use super::{Broken, Seen, Verdict};
use crate::{
    deploy::reference,
    deployment::Deployment,
    prefect::{Prefect, expect_ok},
};

/// Compares each probe with the values and asks what it asks.
pub(crate) async fn answer(deployment: &Deployment) -> Seen {
    let container = deployment.container(Component::Server)?;
    let prefect = Prefect::connect(deployment).await?;
    let mut told = Vec::new();
    for name in ["livenessProbe", "readinessProbe"] {
        let enabled = deployment.is_on(&format!("/server/{name}/enabled"));
        let probe = &container[name];
        if probe.is_null() == enabled {
            return Err(Broken::new(format!(
                "the server's {name} is not as server.{name}.enabled asks"
            ))
            .object(reference(deployment.workload(Component::Server)?))
            .expected(if enabled { "a probe" } else { "no probe" }, probe.to_string()));
        }
        let Some(path) = probe["httpGet"]["path"].as_str() else {
            continue;
        };
        expect_port(deployment, name, &probe["httpGet"]["port"])?;
        expect_ok(
            &format!("GET {path}, which the {name} asks for,"),
            &prefect.http.get(path).await?,
        )?;
        told.push(format!("{name} {path}"));
    }
    if told.is_empty() {
        return Ok(Verdict::Skipped("the values enable no probe".into()));
    }
    Ok(Verdict::Holds(format!("{} answered", told.join(" and "))))
}

fn expect_port(deployment: &Deployment, name: &str, port: &Value) -> Result<(), Broken> {
    let listens = u64::from(deployment.container_port());
    if port.as_u64().is_none_or(|port| port == listens) {
        return Ok(());
    }
    Err(
        Broken::new(format!("the {name} asks another port than the server's"))
            .object(reference_of(deployment))
            .expected(listens.to_string(), port.to_string()),
    )
}

fn reference_of(deployment: &Deployment) -> String {
    deployment
        .workload(Component::Server)
        .map(reference)
        .unwrap_or_default()
}
