//! From a container's object to what the sandbox makes of it.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::Container;
use prefect_e2e_images::{HostLayer, Image};
use prefect_e2e_sandbox::{ContainerSpec, Layer, Mount, ReportReader};

use super::{Keeper, whole_message};
use crate::{
    environment::{EnvironmentError, expand},
    event::Severity,
    security::{self, SecurityError},
    status::State,
    volume::{self, VolumeError},
};

/// Why a container could not be configured; it waits for that to change.
#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Security(#[from] SecurityError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("cannot prepare the container")]
    Io(#[from] io::Error),
}

/// A container that is ready to be started.
pub(super) struct Prepared {
    pub(super) spec: ContainerSpec,
    pub(super) spec_file: PathBuf,
    pub(super) report: ReportReader,
    pub(super) log: PathBuf,
    pub(super) termination_file: PathBuf,
}

impl Keeper {
    /// Configures the container, again and again until what it refers to is there; `None` when the
    /// container is to end first.
    pub(super) async fn prepare(&self, image: &Image) -> Option<Prepared> {
        loop {
            match self.configure(image).await {
                Ok(prepared) => return Some(prepared),
                Err(error) => {
                    let message = whole_message(&error);
                    self.event(Severity::Warning, "Failed", format!("Error: {message}"));
                    self.pod.change(self.name(), |progress| {
                        progress.state = State::Waiting {
                            reason: "CreateContainerConfigError",
                            message: Some(message),
                        };
                    });
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.pod.node.restart_pause) => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }

    async fn configure(&self, image: &Image) -> Result<Prepared, ConfigError> {
        let (pod, container) = (&self.pod, &self.container);
        let identity = security::identity(&pod.pod, container, image)?;
        let env = pod.sources().variables(container, &image.env).await?;
        let run = pod.progress().of(&container.name).restarts;
        let directory = pod
            .directory
            .join("containers")
            .join(format!("{}-{run}", container.name));
        // an attempt before this one may have left a part
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        let termination_file = directory.join("termination-log");
        fs::write(&termination_file, "")?;
        fs::set_permissions(&termination_file, fs::Permissions::from_mode(0o666))?;

        let mut mounts = volume::mounts(&pod.pod, container, &env, &pod.volumes)?;
        // a mount over a directory must not hide one made below it before
        mounts.sort_by_key(|mount| mount.target.components().count());
        mounts.extend(self.node_files(&mounts, &termination_file));
        let context = container.security_context.as_ref();
        let report = directory.join("report");
        let reader = ReportReader::create(&report)?;
        let spec = ContainerSpec {
            root: image.root.clone(),
            layers: image
                .layers
                .iter()
                .map(|layer| host_layer(layer, &pod.node.executable))
                .collect(),
            mounts,
            read_only_root: context.and_then(|context| context.read_only_root_filesystem) == Some(true),
            command: command(container, image, &env),
            working_dir: container
                .working_dir
                .as_deref()
                .map_or(image.working_dir.clone(), PathBuf::from),
            identity,
            namespaces: pod.namespaces(),
            terminal: container.tty == Some(true),
            report,
            directory: directory.join("filesystem"),
            env,
        };
        let spec_file = directory.join("spec.json");
        fs::write(&spec_file, serde_json::to_vec(&spec).map_err(io::Error::from)?)?;
        Ok(Prepared {
            spec,
            spec_file,
            report: reader,
            log: directory.join("log"),
            termination_file,
        })
    }

    /// The files that the node writes for the container, where no volume takes their place.
    fn node_files(&self, mounts: &[Mount], termination_file: &Path) -> Vec<Mount> {
        let of_pod = self
            .pod
            .etc_files()
            .map(|(name, target)| (self.pod.directory.join(name), target));
        let path = self
            .container
            .termination_message_path
            .as_deref()
            .unwrap_or("/dev/termination-log");
        let all = of_pod.chain([(termination_file.to_owned(), path)]);
        all.filter(|(_, target)| !mounts.iter().any(|mount| mount.target == Path::new(target)))
            .map(|(source, target)| Mount {
                source,
                target: target.into(),
                writable: true,
            })
            .collect()
    }
}

fn host_layer(layer: &HostLayer, executable: &Path) -> Layer {
    Layer {
        source: layer.source.clone().unwrap_or_else(|| executable.to_owned()),
        target: layer.target.clone(),
        merge: layer.merge,
    }
}

/// The program and its arguments: what the pod says goes before what the image says.
fn command(container: &Container, image: &Image, env: &[(String, String)]) -> Vec<String> {
    let given = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let (program, arguments) = match (given(&container.command), given(&container.args)) {
        (Some(program), arguments) => (program, arguments.unwrap_or_default()),
        (None, Some(arguments)) => (image.entrypoint.clone(), arguments),
        (None, None) => (image.entrypoint.clone(), image.command.clone()),
    };
    program
        .iter()
        .chain(&arguments)
        .map(|part| expand(part, env))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(json!({}), &["entry", "default"])]
    #[case(json!({"args": ["own"]}), &["entry", "own"])]
    #[case(json!({"command": ["other"]}), &["other"])]
    #[case(json!({"command": ["other"], "args": ["$(X)"]}), &["other", "value"])]
    fn the_pods_command_goes_before_the_images(#[case] container: Value, #[case] expected: &[&str]) {
        let mut container = container;
        container["name"] = "c".into();
        let container: Container = serde_json::from_value(container).unwrap();
        let image = Image {
            reference: String::new(),
            id: String::new(),
            root: "/".into(),
            layers: Vec::new(),
            env: Vec::new(),
            working_dir: "/".into(),
            user: 0,
            group: 0,
            entrypoint: vec!["entry".into()],
            command: vec!["default".into()],
        };
        assert_eq!(
            command(&container, &image, &[("X".into(), "value".into())]),
            expected
        );
    }
}
