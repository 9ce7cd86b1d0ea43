//! A server from programs of this machine.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{OpenOptionsExt as _, PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use nix::unistd::geteuid;
use prefect_e2e_images::PostgresServer;
use tokio::time::Instant;

use crate::{Options, Server, certificates::Certificates, client::Client, error::ExternalPostgresError};

const SUPERVISE: &str = include_str!("supervise.sh");

/// The user and group that a server of root's runs as: PostgreSQL refuses root.
const NOBODY: u32 = 65534;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// How often another port is tried when somebody else took the chosen one.
const PORTS: u32 = 5;

/// How many lines of a failed server's log are told.
const TOLD: usize = 12;

/// A server that its supervisor ends when this value, or this process, ends.
pub(crate) struct MachineServer {
    supervisor: Child,
    /// The supervisor waits for its end.
    alive: Option<ChildStdin>,
    directory: PathBuf,
    address: SocketAddr,
    about: String,
}

/// Starts a server of this machine.
pub(crate) async fn start(
    options: &Options,
    certificates: Option<&Certificates>,
) -> Result<MachineServer, ExternalPostgresError> {
    let server = options
        .images
        .postgres_server(Some(options.major), |step| tracing::info!(?step, "PostgreSQL"));
    let server = server
        .await
        .map_err(|source| ExternalPostgresError::NoServer { source })?;
    if certificates.is_some() && !server.has_tls {
        return Err(ExternalPostgresError::NoTls {
            version: server.version,
            programs: server.programs,
        });
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt(options, certificates, &server).await {
            Err(ExternalPostgresError::Ended { log }) if tries < PORTS && log.contains("already in use") => {}
            outcome => return outcome,
        }
    }
}

async fn attempt(
    options: &Options,
    certificates: Option<&Certificates>,
    server: &PostgresServer,
) -> Result<MachineServer, ExternalPostgresError> {
    let about = format!("PostgreSQL {} of {}", server.version, server.programs.display());
    let mut running = supervise(options, about)?;
    let programs = prepare(&running.directory, options, certificates, server)?;
    running
        .begin(&programs)
        .map_err(|source| ExternalPostgresError::Process { source })?;
    running.wait_until_ready(options, certificates).await?;
    Ok(running)
}

/// An address on loopback that nobody listens at now.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Where a server's directory is made: its user must be able to make and remove it.
fn parent_directory() -> PathBuf {
    let configured = std::env::temp_dir();
    let is_open = fs::metadata(&configured).is_ok_and(|found| found.permissions().mode() & 0o003 == 0o003);
    if geteuid().is_root() && !(is_open && is_reachable(&configured)) {
        "/tmp".into()
    } else {
        configured
    }
}

/// Starts the supervisor of a server, which makes a directory and waits.
fn supervise(options: &Options, about: String) -> Result<MachineServer, ExternalPostgresError> {
    let failed = |source| ExternalPostgresError::Process { source };
    let address = free_address().map_err(failed)?;
    let parent = parent_directory();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SUPERVISE, "supervise"])
        .arg(&parent)
        .args([&options.user, &address.port().to_string()]);
    // settings of this program's own connections are not for the server
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir("/");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // Ctrl-C is for this program, which ends the server in order
    command.process_group(0);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut supervisor = command.spawn().map_err(failed)?;
    let alive = supervisor.stdin.take();
    let mut directory = String::new();
    let told = supervisor
        .stdout
        .take()
        .map(|told| BufReader::new(told).read_line(&mut directory));
    told.transpose().map_err(failed)?;
    let directory = PathBuf::from(directory.trim_end_matches('\n'));
    let server = MachineServer {
        supervisor,
        alive,
        directory,
        address,
        about,
    };
    if server.directory.as_os_str().is_empty() {
        return Err(ExternalPostgresError::files(parent)(io::Error::other(
            "no directory can be made there",
        )));
    }
    Ok(server)
}

/// Hands a file over to the user that the server runs as.
fn give(path: &Path) -> Result<(), ExternalPostgresError> {
    if !geteuid().is_root() {
        return Ok(());
    }
    chown(path, Some(NOBODY), Some(NOBODY)).map_err(ExternalPostgresError::files(path))
}

/// Writes what the server needs into `directory`; gives the directory of its programs.
fn prepare(
    directory: &Path,
    options: &Options,
    certificates: Option<&Certificates>,
    server: &PostgresServer,
) -> Result<PathBuf, ExternalPostgresError> {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        let create = || {
            let mut file = fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(text.as_bytes())
        };
        create().map_err(ExternalPostgresError::files(&path))?;
        give(&path)
    };
    write("password", &format!("{}\n", options.password))?;
    write("pg_hba.conf", options.access())?;
    if let Some(certificates) = certificates {
        write("server.crt", &certificates.certificate_pem)?;
        write("server.key", &certificates.key_pem)?;
    }
    if !geteuid().is_root() || is_reachable(&server.programs) {
        return Ok(server.programs.clone());
    }
    copy_programs(server, &directory.join("server"))
}

/// Whether every user may enter `path`.
fn is_reachable(path: &Path) -> bool {
    let may_enter =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    path.ancestors().all(may_enter)
}

/// Copies a server out of a directory that is closed to others; its programs find the rest of it
/// relative to themselves.
fn copy_programs(server: &PostgresServer, to: &Path) -> Result<PathBuf, ExternalPostgresError> {
    copy_tree(&server.prefix, to)?;
    Ok(to.join(
        server
            .programs
            .strip_prefix(&server.prefix)
            .unwrap_or(Path::new("bin")),
    ))
}

/// Copies a directory and hands the copy over to the server's user, who will remove it.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), ExternalPostgresError> {
    let failed = || ExternalPostgresError::files(from);
    fs::create_dir(to).map_err(ExternalPostgresError::files(to))?;
    give(to)?;
    for entry in fs::read_dir(from).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(failed())?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&source).and_then(|link| symlink(link, &target));
            link.map_err(ExternalPostgresError::files(&target))?;
        } else {
            fs::copy(&source, &target).map_err(ExternalPostgresError::files(&target))?;
            give(&target)?;
        }
    }
    Ok(())
}

impl MachineServer {
    /// Lets the supervisor make the cluster and run the server, all files being in place.
    fn begin(&mut self, programs: &Path) -> io::Result<()> {
        let alive = self.alive.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        alive.write_all(programs.as_os_str().as_bytes())?;
        alive.write_all(b"\n")
    }

    /// Waits until the user's database can be connected to, having made it.
    async fn wait_until_ready(
        &self,
        options: &Options,
        certificates: Option<&Certificates>,
    ) -> Result<(), ExternalPostgresError> {
        let ca_pem = certificates.map(|certificates| certificates.ca_pem.as_str());
        let first = Options {
            database: "postgres".into(),
            ..options.clone()
        };
        let first = Client::new(&first, self.address, ca_pem)?;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = first.try_connect().await {
            if self.directory.join("ended").exists() {
                return Err(ExternalPostgresError::Ended { log: self.log() });
            }
            if Instant::now() > deadline {
                return Err(ExternalPostgresError::Unreachable {
                    seconds: PATIENCE.as_secs(),
                    source: Box::new(error),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
        if options.database == "postgres" {
            return Ok(());
        }
        let name = options.database.replace('"', "\"\"");
        first
            .query(&format!("CREATE DATABASE \"{name}\""))
            .await
            .map(drop)
    }

    /// The end of what the server said.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TOLD)..].join("\n")
    }

    /// Lets the supervisor end the server, and waits for both.
    fn end(&mut self) -> io::Result<()> {
        drop(self.alive.take());
        self.supervisor.wait().map(drop)
    }
}

#[async_trait]
impl Server for MachineServer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn network_address(&self) -> Option<SocketAddr> {
        None
    }

    fn about(&self) -> &str {
        &self.about
    }

    async fn stop(mut self: Box<Self>) -> Result<(), ExternalPostgresError> {
        let ended = tokio::task::spawn_blocking(move || self.end()).await;
        ended
            .unwrap_or_else(|error| Err(error.into()))
            .map_err(|source| ExternalPostgresError::Process { source })
    }
}

impl Drop for MachineServer {
    fn drop(&mut self) {
        // there is nobody to tell, and nothing else to try
        let _ = self.end();
    }
}
