//! A server in a container.

use std::{
    collections::HashMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use testcontainers::{
    ContainerAsync, CopyTargetOptions, GenericImage, ImageExt as _,
    bollard::{
        models::{HostConfig, PortBinding},
        query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
    },
    core::{IntoContainerPort as _, client::docker_client_instance},
    runners::AsyncRunner as _,
};
use tokio::time::Instant;

use crate::{Options, Server, certificates::Certificates, client::Client, error::ExternalPostgresError};

const IMAGE: &str = "postgres";
const PORT: u16 = 5432;

/// Names the process that a container belongs to.
const OWNER: &str = "prefect-e2e.owner";

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// How many lines of a failed server's log are told.
const TOLD: usize = 12;

/// Where files are put in the container.
const FILES: &str = "/prefect-e2e";

/// Hands the key over to the server's user, which PostgreSQL insists on, before the image's own start.
const START: &str = r#"
set -e
[ ! -e /prefect-e2e/server.key ] || chown postgres /prefect-e2e/server.key
exec docker-entrypoint.sh postgres "$@"
"#;

/// A server in a container, which ends with this value.
pub(crate) struct ContainerServer {
    container: ContainerAsync<GenericImage>,
    address: SocketAddr,
    network_address: Option<SocketAddr>,
    about: String,
}

/// Starts a server in a container.
pub(crate) async fn start(
    options: &Options,
    certificates: Option<&Certificates>,
) -> Result<ContainerServer, ExternalPostgresError> {
    let engine = docker_client_instance()
        .await
        .map_err(ExternalPostgresError::engine)?;
    engine.ping().await.map_err(ExternalPostgresError::engine)?;
    if let Err(error) = remove_leftovers().await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "containers of ended runs may be left"
        );
    }
    let request = request(options, certificates);
    let container = request.start().await.map_err(ExternalPostgresError::engine)?;
    let port = match container.get_host_port_ipv4(PORT).await {
        Ok(port) => port,
        // one that has ended has no ports any more
        Err(_) if !container.is_running().await.unwrap_or(true) => {
            return Err(ExternalPostgresError::Ended {
                log: last_lines(&container).await,
            });
        }
        Err(error) => return Err(ExternalPostgresError::engine(error)),
    };
    let network_address = match &options.network {
        Some(_) => {
            let address = container
                .get_bridge_ip_address()
                .await
                .map_err(ExternalPostgresError::engine)?;
            Some(SocketAddr::new(address, PORT))
        }
        None => None,
    };
    let about = format!("{IMAGE}:{} in container {:.12}", options.major, container.id());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let server = ContainerServer {
        container,
        address,
        network_address,
        about,
    };
    server.wait_until_ready(options, certificates).await?;
    Ok(server)
}

fn request(
    options: &Options,
    certificates: Option<&Certificates>,
) -> testcontainers::ContainerRequest<GenericImage> {
    let file = |name: &str| format!("{FILES}/{name}");
    let mut arguments = vec!["-c".to_owned(), START.to_owned(), "start".to_owned()];
    let mut parameters = vec![
        format!("hba_file={}", file("pg_hba.conf")),
        "fsync=off".to_owned(),
    ];
    if certificates.is_some() {
        parameters.push("ssl=on".to_owned());
        parameters.push(format!("ssl_cert_file={}", file("server.crt")));
        parameters.push(format!("ssl_key_file={}", file("server.key")));
    }
    arguments.extend(
        parameters
            .into_iter()
            .flat_map(|parameter| ["-c".to_owned(), parameter]),
    );

    let mut request = GenericImage::new(IMAGE, &options.major.to_string())
        .with_exposed_port(PORT.tcp())
        .with_entrypoint("/bin/sh")
        .with_cmd(arguments)
        .with_env_var("POSTGRES_USER", &options.user)
        .with_env_var("POSTGRES_PASSWORD", &options.password)
        .with_env_var("POSTGRES_DB", &options.database)
        .with_labels(options.labels.iter())
        .with_label(OWNER, this_process())
        .with_startup_timeout(PATIENCE)
        .with_host_config_modifier(on_loopback)
        .with_copy_to(readable(&file("pg_hba.conf")), access(options).into_bytes());
    if let Some(certificates) = certificates {
        let key = CopyTargetOptions::new(file("server.key")).with_mode(0o600);
        request = request
            .with_copy_to(
                readable(&file("server.crt")),
                certificates.certificate_pem.clone().into_bytes(),
            )
            .with_copy_to(key, certificates.key_pem.clone().into_bytes());
    }
    match &options.network {
        Some(network) => request.with_network(network),
        None => request,
    }
}

/// Who may connect: from outside as asked, from inside the container, as the image's own start does, freely.
fn access(options: &Options) -> String {
    format!("local all all trust\n{}", options.access())
}

fn readable(path: &str) -> CopyTargetOptions {
    CopyTargetOptions::new(path).with_mode(0o644)
}

/// Publishes the port on loopback alone.
fn on_loopback(config: &mut HostConfig) {
    let binding = PortBinding {
        host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
        host_port: None,
    };
    config.publish_all_ports = Some(false);
    config.port_bindings = Some(HashMap::from([(format!("{PORT}/tcp"), Some(vec![binding]))]));
}

impl ContainerServer {
    async fn wait_until_ready(
        &self,
        options: &Options,
        certificates: Option<&Certificates>,
    ) -> Result<(), ExternalPostgresError> {
        let ca_pem = certificates.map(|certificates| certificates.ca_pem.as_str());
        let client = Client::new(options, self.address, ca_pem)?;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = client.try_connect().await {
            if !self
                .container
                .is_running()
                .await
                .map_err(ExternalPostgresError::engine)?
            {
                return Err(ExternalPostgresError::Ended {
                    log: last_lines(&self.container).await,
                });
            }
            if Instant::now() > deadline {
                let seconds = PATIENCE.as_secs();
                return Err(ExternalPostgresError::Unreachable {
                    seconds,
                    source: Box::new(error),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// The end of what the server said.
async fn last_lines(container: &ContainerAsync<GenericImage>) -> String {
    let log = container.stderr_to_vec().await.unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TOLD)..].join("\n")
}

#[async_trait]
impl Server for ContainerServer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn network_address(&self) -> Option<SocketAddr> {
        self.network_address
    }

    fn about(&self) -> &str {
        &self.about
    }

    async fn stop(self: Box<Self>) -> Result<(), ExternalPostgresError> {
        self.container.rm().await.map_err(ExternalPostgresError::engine)
    }
}

/// Removes the containers of processes of this machine that were killed, and tells how many.
///
/// # Errors
/// When the container engine does not answer or refuses.
pub async fn remove_leftovers() -> Result<usize, ExternalPostgresError> {
    let engine = docker_client_instance()
        .await
        .map_err(ExternalPostgresError::engine)?;
    let filters = HashMap::from([("label", vec![OWNER])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let containers = engine
        .list_containers(Some(options))
        .await
        .map_err(ExternalPostgresError::engine)?;
    let mut removed = 0;
    for container in containers {
        let owner = container.labels.as_ref().and_then(|labels| labels.get(OWNER));
        let (Some(id), Some(owner)) = (&container.id, owner) else {
            continue;
        };
        if !has_ended(owner) {
            continue;
        }
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        engine
            .remove_container(id, Some(options))
            .await
            .map_err(ExternalPostgresError::engine)?;
        removed += 1;
    }
    Ok(removed)
}

/// Names this process so that no other ever has the name: machine and boot, process namespace, process,
/// and its start.
fn this_process() -> String {
    let pid = std::process::id();
    format!("{} {pid} {}", this_system(), start_time(pid).unwrap_or_default())
}

fn this_system() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

/// When a process started, in ticks since boot; `None` when there is no such process.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the second field is a name in parentheses, which may hold anything
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the process of that name was one of this system's and is no more.
fn has_ended(owner: &str) -> bool {
    let words: Vec<&str> = owner.rsplitn(3, ' ').collect();
    let [started, pid, system] = words[..] else {
        return false;
    };
    let Ok(pid) = pid.parse() else { return false };
    system == this_system() && start_time(pid).is_none_or(|start| start.to_string() != started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_not_ended() {
        assert!(!has_ended(&this_process()));
    }

    #[test]
    fn a_process_that_is_gone_or_whose_number_was_given_again_has_ended() {
        let system = this_system();
        assert!(has_ended(&format!("{system} 4194999 17")));
        assert!(has_ended(&format!("{system} {} 17", std::process::id())));
    }

    #[test]
    fn processes_of_other_systems_are_left_alone() {
        assert!(!has_ended("another-boot pid:[1] 4194999 17"));
        assert!(!has_ended("nonsense"));
    }
}
