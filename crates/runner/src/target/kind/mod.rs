//! A kind cluster: one that stands, or one that the run makes and deletes.

mod made;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use async_trait::async_trait;
use kube::config::Kubeconfig;
use prefect_e2e_local_cluster::{StateDir, write_kubeconfig};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::ChildStderr,
    sync::Mutex,
};

use made::MadeCluster;
pub(crate) use made::delete_left;

use super::{
    Target, TargetError, api,
    program::{docker, engine_version, kind},
    run_directory::RunDirectory,
};
use crate::event::{Events, Happening};

/// The cluster that `make kind-up` makes, and that `--target auto` takes when it is up.
pub(crate) const STANDING: &str = "prefect-e2e";

/// How long a new cluster's node may take to become ready.
const PATIENCE: Duration = Duration::from_secs(240);

/// The repository of kind's node images, whose tags are versions of Kubernetes.
const NODE_IMAGES: &str = "kindest/node";

const DEFAULT_CONFIG: &str = "kind-config.yaml";

/// Which kind cluster a run takes.
#[derive(Debug, Clone, Default)]
pub struct KindOptions {
    /// Take the standing cluster of this name; it is made when it is not up, and stays.
    pub reuse: Option<String>,
    /// Leave the run's own cluster when the run has ended.
    pub keep: bool,
    /// The image of a new cluster's nodes; that of the `kind` program if `None`.
    pub node_image: Option<String>,
    /// The configuration of a new cluster; `kind-config.yaml` if that is here.
    pub config: Option<PathBuf>,
    /// Archives of images to load besides those that the container engine has.
    pub image_archives: Vec<PathBuf>,
}

/// A kind cluster.
pub struct Kind {
    name: String,
    made: Option<MadeCluster>,
    client: kube::Client,
    kubeconfig: PathBuf,
    why: &'static str,
    loaded: Mutex<BTreeSet<String>>,
    _directory: Option<RunDirectory>,
}

impl KindOptions {
    /// The node image of a version of Kubernetes, `1.34.0`.
    #[must_use]
    pub fn image_of_version(version: &str) -> String {
        format!("{NODE_IMAGES}:v{}", version.trim_start_matches('v'))
    }
}

impl Kind {
    /// Takes the standing cluster or makes one of the run's own; what `kind` does is told to `events`.
    ///
    /// # Errors
    /// When `kind` or its container engine is missing, or a cluster does not come up.
    pub async fn start(options: &KindOptions, events: &Events) -> Result<Self, TargetError> {
        engine_version().await?;
        for name in delete_left(false).await? {
            let message = format!("deleted the kind cluster {name} of a run that was killed");
            tell(events, message, true);
        }
        let target = match &options.reuse {
            Some(name) => Self::reused(name, options, events).await?,
            None => Self::own(options, events).await?,
        };
        for archive in &options.image_archives {
            let archive = archive.display().to_string();
            tell(events, format!("loading {archive}"), false);
            let arguments = ["load", "image-archive", &archive, "--name", &target.name];
            kind().run(&arguments).await?;
            tell(events, format!("loaded {archive}"), true);
        }
        Ok(target)
    }

    async fn reused(name: &str, options: &KindOptions, events: &Events) -> Result<Self, TargetError> {
        let stands = names().await?.iter().any(|known| known == name);
        if !stands {
            create(name, options, events).await?.done().forget()?;
        }
        let why = if stands {
            "which was up"
        } else {
            "made by this run, which leaves it"
        };
        Self::connect(name, why, true).await
    }

    async fn own(options: &KindOptions, events: &Events) -> Result<Self, TargetError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{STANDING}-{}", &id[..8]);
        let creation = create(&name, options, events).await?;
        let mut target = Self::connect(&name, "made for this run", options.keep).await?;
        let made = creation.done();
        if options.keep {
            made.forget()?;
        } else {
            target.made = Some(made);
        }
        Ok(target)
    }

    /// The standing cluster, if it is up and answers.
    pub async fn standing() -> Option<Self> {
        if !names().await.ok()?.iter().any(|name| name == STANDING) {
            return None;
        }
        Self::connect(STANDING, "because it is up", true).await.ok()
    }

    /// Connects to a cluster; `stays` says that it outlives the run, and so does its kubeconfig.
    async fn connect(name: &str, why: &'static str, stays: bool) -> Result<Self, TargetError> {
        let (kubeconfig_path, directory) = kubeconfig_path(name, stays)?;
        let text = kind().run(&["get", "kubeconfig", "--name", name]).await?;
        let kubeconfig = Kubeconfig::from_yaml(&text)?;
        write_kubeconfig(&kubeconfig_path, &kubeconfig)?;
        let about = |_: &str| format!("the kind cluster {name}");
        let (client, _) = api::connect(kubeconfig, None, about).await?;
        Ok(Self {
            name: name.to_owned(),
            made: None,
            client,
            kubeconfig: kubeconfig_path,
            why,
            loaded: Mutex::default(),
            _directory: directory,
        })
    }
}

/// Where the kubeconfig of a cluster is written, and the directory that goes with the run.
fn kubeconfig_path(name: &str, stays: bool) -> Result<(PathBuf, Option<RunDirectory>), TargetError> {
    if !stays {
        let directory = RunDirectory::make()?;
        return Ok((directory.kubeconfig(), Some(directory)));
    }
    let directory = StateDir::of_user()?.path().join("kubeconfigs");
    std::fs::create_dir_all(&directory).map_err(|source| TargetError::File {
        path: directory.clone(),
        source,
    })?;
    Ok((directory.join(name), None))
}

/// The names of the clusters that are up.
async fn names() -> Result<Vec<String>, TargetError> {
    let listed = kind().run(&["get", "clusters", "--quiet"]).await?;
    Ok(listed.lines().map(|line| line.trim().to_owned()).collect())
}

/// A cluster that is being made. Dropping it, as an interrupted run does, deletes what there is of it.
struct Creation(Option<MadeCluster>);

impl Creation {
    fn done(mut self) -> MadeCluster {
        #[expect(clippy::expect_used, reason = "only this consuming method takes it out")]
        self.0.take().expect("a creation holds its record")
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        let Some(made) = self.0.take() else { return };
        let mut delete = kind().command(&["delete", "cluster", "--name", made.name()]);
        let delete = delete.as_std_mut().stdout(Stdio::null()).stderr(Stdio::null());
        // what cannot be deleted now stays on record, for the next run or `prefect-e2e clean`
        if delete.status().is_ok_and(|status| status.success()) {
            let _ = made.forget();
        }
    }
}

/// Makes a cluster and waits for its nodes.
async fn create(name: &str, options: &KindOptions, events: &Events) -> Result<Creation, TargetError> {
    let creation = Creation(Some(MadeCluster::record(name)?));
    let wait = format!("{}s", PATIENCE.as_secs());
    // the user's own kubeconfig is not touched
    let written = RunDirectory::make()?;
    let kubeconfig = written.kubeconfig().display().to_string();
    let mut arguments = vec!["create", "cluster", "--name", name, "--wait", &wait];
    arguments.extend(["--kubeconfig", &kubeconfig]);
    let config = options.config.clone().or_else(|| {
        let here = PathBuf::from(DEFAULT_CONFIG);
        here.is_file().then_some(here)
    });
    let config = config.map(|path| path.display().to_string());
    if let Some(path) = &config {
        arguments.extend(["--config", path]);
    }
    if let Some(image) = &options.node_image {
        arguments.extend(["--image", image]);
    }
    tell(events, format!("making the kind cluster {name}"), false);
    let program = kind();
    let mut child = program
        .command(&arguments)
        .spawn()
        .map_err(|error| program.not_run(error))?;
    let said = match child.stderr.take() {
        Some(stderr) => tell_lines(stderr, events).await,
        None => String::new(),
    };
    let status = child.wait().await.map_err(|error| program.not_run(error))?;
    if !status.success() {
        return Err(TargetError::Command {
            command: format!("kind {}", arguments.join(" ")),
            output: said,
        });
    }
    tell(events, format!("made the kind cluster {name}"), true);
    Ok(creation)
}

/// Tells each line that `kind` says, and gives the last ones.
async fn tell_lines(stderr: ChildStderr, events: &Events) -> String {
    let mut lines = BufReader::new(stderr).lines();
    let mut last = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line
            .trim_matches(|letter: char| !letter.is_ascii_graphic())
            .to_owned();
        if !line.is_empty() {
            tell(events, format!("kind: {line}"), false);
            last.push(line);
        }
    }
    last[last.len().saturating_sub(8)..].join("\n")
}

fn tell(events: &Events, message: String, done: bool) {
    events.publish(None, Happening::Image { message, done });
}

#[async_trait]
impl Target for Kind {
    fn kind(&self) -> &'static str {
        "kind"
    }

    fn about(&self) -> String {
        format!("the kind cluster {}, {}", self.name, self.why)
    }

    fn client(&self) -> kube::Client {
        self.client.clone()
    }

    fn kubectl(&self) -> String {
        format!("--kubeconfig {}", self.kubeconfig.display())
    }

    async fn expose(&self, _: u16) -> Result<Option<SocketAddr>, TargetError> {
        Ok(None)
    }

    fn docker_network(&self) -> Option<String> {
        let network = std::env::var("KIND_EXPERIMENTAL_DOCKER_NETWORK");
        Some(network.unwrap_or_else(|_| "kind".into()))
    }

    async fn missing_images(&self, references: &BTreeSet<String>) -> Vec<String> {
        let listed = docker()
            .run(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"])
            .await;
        let listed = listed.unwrap_or_default();
        let local: BTreeSet<&str> = listed.lines().collect();
        let loaded = self.loaded.lock().await;
        let missing = references
            .iter()
            .filter(|reference| local.contains(familiar(reference)) && !loaded.contains(*reference));
        missing.cloned().collect()
    }

    async fn make_image(&self, reference: &str) -> Result<(), TargetError> {
        // one after the other: they share layers, and the node's disk
        let mut loaded = self.loaded.lock().await;
        if loaded.contains(reference) {
            return Ok(());
        }
        kind()
            .run(&["load", "docker-image", familiar(reference), "--name", &self.name])
            .await?;
        loaded.insert(reference.to_owned());
        Ok(())
    }

    async fn tear_down(self: Box<Self>) -> Result<(), TargetError> {
        let Some(made) = self.made else { return Ok(()) };
        kind().run(&["delete", "cluster", "--name", &self.name]).await?;
        made.forget()
    }
}

/// An image reference as the container engine lists it: without the default registry.
fn familiar(reference: &str) -> &str {
    let short = reference.strip_prefix("docker.io/").unwrap_or(reference);
    short.strip_prefix("library/").unwrap_or(short)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "docker.io/bitnamilegacy/postgresql:14.13.0",
        "bitnamilegacy/postgresql:14.13.0"
    )]
    #[case("docker.io/library/postgres:15", "postgres:15")]
    #[case("ghcr.io/library/postgres:15", "ghcr.io/library/postgres:15")]
    fn references_are_looked_for_as_the_engine_lists_them(#[case] reference: &str, #[case] listed: &str) {
        assert_eq!(familiar(reference), listed);
    }

    #[rstest]
    #[case("1.34.0")]
    #[case("v1.34.0")]
    fn a_version_names_the_image_of_its_nodes(#[case] version: &str) {
        assert_eq!(KindOptions::image_of_version(version), "kindest/node:v1.34.0");
    }
}
