//! What helm says after an installation.

use super::{Chart, check_release_name};
use crate::{error::RenderError, release::Release, values::Values};

/// The chart's notes: how to reach the server.
///
/// # Errors
/// When the chart refuses the values.
pub fn notes(release: &Release, values: &Values) -> Result<String, RenderError> {
    check_release_name(&release.name)?;
    let chart = Chart::new(release, values)?;
    chart.check_prefect_version()?;
    let namespace = &release.namespace;
    let name = &chart.fullname;
    let service = &values.service;
    if values.ingress.enabled {
        let scheme = if values.ingress.tls { "https" } else { "http" };
        let host = &values.ingress.host;
        return Ok(format!(
            "{scheme}://{}{}\n",
            host.hostname,
            host.path.as_deref().unwrap_or_default()
        ));
    }
    Ok(match service.kind.as_str() {
        "NodePort" => format!(
            "Open the node port of the Service:\n  \
             kubectl --namespace {namespace} get service {name} -o jsonpath='{{.spec.ports[0].nodePort}}'\n"
        ),
        "LoadBalancer" => format!(
            "Wait for the load balancer's address and open port {}:\n  \
             kubectl --namespace {namespace} get service {name} --watch\n",
            service.port
        ),
        "ClusterIP" => {
            let url = values
                .server
                .ui_config
                .prefect_ui_api_url
                .as_deref()
                .unwrap_or_default();
            format!(
                "Forward a port of this machine to the UI:\n  \
                 kubectl --namespace {namespace} port-forward svc/{name} {}:{}\n\nVisit {} to use Prefect!\n",
                service.target_port,
                service.port,
                url.replace("/api", "")
            )
        }
        _ => String::new(),
    })
}
