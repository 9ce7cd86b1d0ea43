//! What the server may write, and what it may not.

use prefect_e2e_scenarios::Component;

use super::{Broken, Seen, Verdict};
use crate::{deployment::Deployment, exec};

/// The directories that the chart makes writable can be written, and the image's cannot when the values
/// say so.
pub(crate) async fn honoured(deployment: &Deployment) -> Seen {
    let pod = deployment.ready_pod(Component::Server).await?;
    let container = deployment.container(Component::Server)?["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut writable = vec!["/home/prefect".to_owned(), "/tmp".to_owned()];
    if deployment.is_on("/server/uiConfig/enabled") {
        writable.push(
            deployment
                .text("/server/uiConfig/prefectUiStaticDirectory")
                .to_owned(),
        );
    }
    if deployment.is_on("/sqlite/enabled") {
        writable.push("/data".to_owned());
    }
    for directory in &writable {
        let file = format!("{directory}/.prefect-e2e");
        let command = [
            "sh",
            "-c",
            "echo written > \"$1\" && rm \"$1\"",
            "sh",
            file.as_str(),
        ];
        let output = exec::run(&deployment.place, &pod, &container, &command).await?;
        if !output.success {
            return Err(
                Broken::new(format!("the server cannot write {directory}: a mount is missing"))
                    .object(format!("pod/{pod}"))
                    .expected(format!("{directory} is writable"), output.stderr.trim()),
            );
        }
    }
    let read_only = deployment.is_on("/server/containerSecurityContext/readOnlyRootFilesystem");
    if read_only {
        let output = exec::run(
            &deployment.place,
            &pod,
            &container,
            &["touch", "/opt/.prefect-e2e"],
        )
        .await?;
        if output.success || !output.stderr.contains("Read-only file system") {
            return Err(
                Broken::new("the server can write its image although readOnlyRootFilesystem is set")
                    .object(format!("pod/{pod}"))
                    .expected("Read-only file system", output.stderr.trim()),
            );
        }
    }
    identity(deployment, &pod, &container).await?;
    let rest = if read_only { "; the image is read-only" } else { "" };
    Ok(Verdict::Holds(format!(
        "{} are writable{rest}",
        writable.join(", ")
    )))
}

/// The server runs as the user that the values name.
async fn identity(deployment: &Deployment, pod: &str, container: &str) -> Result<(), Broken> {
    let of = |context: &str| deployment.value(&format!("/server/{context}/runAsUser")).as_u64();
    let Some(wanted) = of("containerSecurityContext").or_else(|| of("podSecurityContext")) else {
        return Ok(());
    };
    let output = exec::run(&deployment.place, pod, container, &["id", "-u"]).await?;
    let found = output.stdout.trim();
    if found == wanted.to_string() {
        return Ok(());
    }
    Err(
        Broken::new("the server runs as another user than runAsUser names")
            .object(format!("pod/{pod}"))
            .expected(wanted.to_string(), found),
    )
}
