//! `prefect-e2e cluster`: the embedded cluster on its own, to look at with `kubectl`.

use std::{path::Path, time::Duration};

use clap::Subcommand;
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use prefect_e2e_images::ImageStore;
use prefect_e2e_local_cluster::{Cluster, ClusterOptions, StandingCluster, StateDir};

use crate::{signals::StopSignals, target::cluster_program};

/// How long a cluster may take to end its pods.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to do with the standing cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Start a cluster and hold it until Ctrl-C; prints the line that points kubectl at it
    Up {
        /// Return when the cluster is ready and leave it running in the background
        #[arg(long)]
        detach: bool,
        /// Port of the API server on 127.0.0.1 [default: any free one]
        #[arg(long)]
        port: Option<u16>,
    },
    /// End the cluster
    Down,
    /// Say whether a cluster is up, and where
    Status,
}

impl ClusterCommand {
    pub(crate) async fn run(self) -> miette::Result<()> {
        let state = StateDir::of_user().into_diagnostic()?;
        match self {
            Self::Up { detach: true, port } => detach(&state, port).await,
            Self::Up { detach: false, port } => hold(&state, port).await,
            Self::Down => end(&state).await,
            Self::Status => tell(&state),
        }
    }
}

async fn hold(state: &StateDir, port: Option<u16>) -> miette::Result<()> {
    let mut claim = state.claim().into_diagnostic()?;
    let executable = cluster_program()
        .into_diagnostic()
        .wrap_err("cannot find this program")?;
    let images = ImageStore::open(None)
        .into_diagnostic()?
        .guarded_by(executable.clone());
    let options = ClusterOptions {
        executable,
        images,
        port,
    };
    let mut stop = StopSignals::listen()?;
    let cluster = tokio::select! {
        cluster = Cluster::start(options) => cluster.into_diagnostic()?,
        () = stop.received() => return Ok(()),
    };
    let standing = claim.record(&cluster).into_diagnostic()?;
    println!("{}", export_line(&standing.kubeconfig));
    eprintln!(
        "the cluster is up at https://{}; Ctrl-C ends it",
        standing.address
    );
    tokio::select! {
        () = cluster.ended() => return Err(miette!("the cluster's process ended on its own")),
        () = stop.received() => {}
    }
    cluster.stop().await.into_diagnostic()
}

async fn detach(state: &StateDir, port: Option<u16>) -> miette::Result<()> {
    let executable = std::env::current_exe()
        .into_diagnostic()
        .wrap_err("cannot find this program")?;
    let standing = state.detach(&executable, port).await.into_diagnostic()?;
    println!("{}", export_line(&standing.kubeconfig));
    eprintln!("{}; `prefect-e2e cluster down` ends it", describe(&standing));
    Ok(())
}

async fn end(state: &StateDir) -> miette::Result<()> {
    match state.end(PATIENCE).await.into_diagnostic()? {
        Some(standing) => eprintln!("the cluster of process {} is down", standing.pid),
        None => eprintln!("no cluster is up"),
    }
    Ok(())
}

fn tell(state: &StateDir) -> miette::Result<()> {
    match state.standing().into_diagnostic()? {
        Some(standing) => {
            println!("{}", export_line(&standing.kubeconfig));
            eprintln!("{}", describe(&standing));
        }
        None => eprintln!("no cluster is up; `prefect-e2e cluster up` starts one"),
    }
    Ok(())
}

fn describe(standing: &StandingCluster) -> String {
    format!(
        "the cluster is up at https://{}, process {}",
        standing.address, standing.pid
    )
}

/// The line that points kubectl at the cluster, quoted for a shell.
fn export_line(kubeconfig: &Path) -> String {
    let path = kubeconfig.display().to_string();
    let plain = path.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c));
    if plain {
        return format!("export KUBECONFIG={path}");
    }
    format!("export KUBECONFIG='{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_split_is_quoted() {
        assert_eq!(
            export_line(Path::new("/home/me/k")),
            "export KUBECONFIG=/home/me/k"
        );
        assert_eq!(
            export_line(Path::new("/home/it's me/k")),
            r"export KUBECONFIG='/home/it'\''s me/k'"
        );
    }
}
