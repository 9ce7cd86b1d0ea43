//! The entry points, run for real on this machine's PostgreSQL.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::store::ImageStore;

/// The user nobody, who exists everywhere.
const NOBODY: u32 = 65534;

/// An image whose entry point runs outside of a container, as an ordinary user.
struct Container {
    directory: TempDir,
    image: Image,
    env: Vec<(String, String)>,
    port: u16,
    server: Option<Child>,
}

impl Container {
    /// `None`, telling so, where the machine has no PostgreSQL.
    async fn of(reference: &str) -> Option<Self> {
        if PostgresServer::find(None).is_none() {
            let _ = writeln!(std::io::stderr(), "skipped: this machine has no PostgreSQL");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let store = ImageStore::open(Some(directory.path().join("cache"))).unwrap();
        let image = store.pull(reference, |_| {}).await.unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let container = Self {
            directory,
            image,
            env: Vec::new(),
            port,
            server: None,
        };
        let path = container.image.env[0]
            .1
            .replacen('/', &format!("{}/", container.image.root.display()), 1);
        Some(container.with(&[
            ("PATH", &path),
            ("LANG", "C.UTF-8"),
            ("POSTGRESQL_PORT_NUMBER", &port.to_string()),
        ]))
    }

    fn with(mut self, env: &[(&str, &str)]) -> Self {
        self.env.extend(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        self
    }

    /// The path as the container would see it, here.
    fn path(&self, inside: &str) -> PathBuf {
        self.image.root.join(inside)
    }

    /// Writes a file that the container may read.
    fn write(&self, inside: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.give(&path);
        path
    }

    fn give(&self, path: &Path) {
        if is_root() {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(0)).unwrap();
        }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/");
        if is_root() {
            command.uid(NOBODY).gid(0);
        }
        command
    }

    fn entrypoint(&self) -> Command {
        let here = |path: &String| match path.strip_prefix('/') {
            Some(inside) => self.path(inside).into_os_string(),
            None => path.into(),
        };
        let mut command = self.command(here(&self.image.entrypoint[0]));
        command.args(self.image.command.iter().map(here));
        command
    }

    /// Starts the server and waits until it takes connections.
    fn start(&mut self) {
        let log = fs::File::create(self.directory.path().join("log")).unwrap();
        let mut command = self.entrypoint();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut server = command.spawn().unwrap();
        loop {
            let running = self.log().contains("Starting PostgreSQL **") || self.image.user != 1001;
            let mut probe = self.command(self.programs().join("pg_isready"));
            probe.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if running && probe.status().unwrap().success() {
                break;
            }
            assert!(server.try_wait().unwrap().is_none(), "{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.server = Some(server);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn programs(&self) -> PathBuf {
        self.path(
            self.image.env[0]
                .1
                .split(':')
                .next()
                .unwrap()
                .trim_start_matches('/'),
        )
    }

    fn stop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let _ = Command::new("kill")
            .args(["-INT", &server.id().to_string()])
            .status();
        let _ = server.wait();
    }

    fn psql(&self, connection: &str, password: &str, sql: &str) -> Output {
        let connection = format!("host=127.0.0.1 port={} {connection}", self.port);
        let mut command = self.command(self.programs().join("psql"));
        command
            .env("PGPASSWORD", password)
            .args(["-X", "-A", "-t", "-w", "-c", sql, "-d", &connection]);
        command.output().unwrap()
    }

    fn answer(&self, connection: &str, password: &str, sql: &str) -> String {
        let output = self.psql(connection, password, sql);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn refusal(&self, connection: &str, password: &str) -> String {
        let output = self.psql(connection, password, "SELECT 1");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

async fn bitnami(env: &[(&str, &str)]) -> Option<Container> {
    let container = Container::of("bitnami/postgresql:14.13.0").await?;
    let user = [
        ("POSTGRES_USER", "prefect"),
        ("POSTGRES_PASSWORD", "it's secret"),
        ("POSTGRES_DATABASE", "server"),
    ];
    Some(container.with(&user).with(env))
}

const PREFECT: &str = "user=prefect dbname=server";
const PASSWORD: &str = "it's secret";

#[tokio::test]
async fn the_first_start_makes_user_and_database_and_later_ones_keep_them() {
    let Some(mut container) = bitnami(&[("POSTGRES_POSTGRES_PASSWORD", "admin")]).await else {
        return;
    };
    container.start();
    let owners = "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'public' \
                  UNION ALL SELECT datdba::regrole FROM pg_database WHERE datname = 'server'";
    assert_eq!(container.answer(PREFECT, PASSWORD, owners), "prefect\nprefect");
    assert_eq!(
        container.answer("user=postgres dbname=server", "admin", "SHOW is_superuser"),
        "on"
    );
    assert_eq!(
        container.answer(PREFECT, PASSWORD, "SHOW server_encoding"),
        "UTF8"
    );
    assert!(
        container
            .refusal(PREFECT, "wrong")
            .contains("password authentication failed")
    );
    assert!(container.path("opt/bitnami/postgresql/tmp/.initialized").exists());
    container.answer(PREFECT, PASSWORD, "CREATE TABLE kept AS SELECT 42 AS answer");
    container.stop();
    let mut container = container.with(&[("POSTGRES_PASSWORD", "another")]);
    container.start();
    assert!(
        container
            .log()
            .contains("Deploying PostgreSQL with persisted data")
    );
    assert_eq!(
        container.answer(PREFECT, PASSWORD, "SELECT answer FROM kept"),
        "42"
    );
}

#[tokio::test]
async fn what_a_killed_container_left_does_not_hinder_the_next() {
    let Some(mut container) = bitnami(&[]).await else {
        return;
    };
    container.start();
    let mut server = container.server.take().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(container.path("bitnami/postgresql/data/postmaster.pid").exists());
    // the children of a killed server end by themselves, but not at once
    while !container.refusal(PREFECT, PASSWORD).contains("refused") {}
    container.start();
    assert_eq!(container.answer(PREFECT, PASSWORD, "SELECT 1"), "1");
}

#[tokio::test]
async fn passwords_come_from_files() {
    let Some(container) = Container::of("bitnamilegacy/postgresql:14.13.0").await else {
        return;
    };
    let file = container.write("secrets/password", "from a file\n");
    let mut container = container.with(&[
        ("POSTGRES_PASSWORD_FILE", file.to_str().unwrap()),
        ("POSTGRES_PASSWORD", "not this"),
    ]);
    container.start();
    assert_eq!(
        container.answer("user=postgres", "from a file", "SELECT current_user"),
        "postgres"
    );
}

#[tokio::test]
async fn scripts_run_once_in_order_of_their_names() {
    let Some(mut container) = bitnami(&[]).await else {
        return;
    };
    let scripts = "docker-entrypoint-initdb.d";
    container.write(
        "docker-entrypoint-preinitdb.d/before.sh",
        "[ -e \"$POSTGRESQL_DATA_DIR/base\" ] || echo before >&2",
    );
    container.write(
        &format!("{scripts}/1.sql"),
        "CREATE TABLE t (n int); INSERT INTO t VALUES (1); SELECT nonsense;",
    );
    let shell = "PGPASSWORD=$POSTGRES_PASSWORD psql -X -h 127.0.0.1 -p $POSTGRESQL_PORT_NUMBER -U prefect server \
                 -c 'INSERT INTO t SELECT max(n) * 10 + 2 FROM t'";
    container.write(&format!("{scripts}/2.sh"), shell);
    let program = container.write(
        &format!("{scripts}/3.sh"),
        format!("#!/bin/sh\n{}", shell.replace("+ 2", "+ 3")),
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let sql = container.write("4.sql", "INSERT INTO t SELECT max(n) * 10 + 4 FROM t;");
    let packed = Command::new("gzip").arg("-c").arg(sql).output().unwrap().stdout;
    container.write(&format!("{scripts}/4.sql.gz"), packed);
    container.write(
        &format!("{scripts}/..data/5.sql"),
        "INSERT INTO t SELECT max(n) * 10 + 5 FROM t;",
    );
    container.write(&format!("{scripts}/notes.txt"), "no script");
    container.start();
    assert!(container.log().contains("before"));
    assert_eq!(
        container.answer(PREFECT, PASSWORD, "SELECT max(n) FROM t"),
        "1234"
    );
    container.stop();
    container.start();
    assert_eq!(container.answer(PREFECT, PASSWORD, "SELECT count(*) FROM t"), "4");
}

#[tokio::test]
async fn scripts_run_as_whom_the_chart_names() {
    let env = [
        ("POSTGRES_INITSCRIPTS_USERNAME", "postgres"),
        ("POSTGRESQL_INITSCRIPTS_PASSWORD", "admin"),
        ("POSTGRES_POSTGRES_PASSWORD", "admin"),
    ];
    let Some(mut container) = bitnami(&env).await else {
        return;
    };
    container.write(
        "docker-entrypoint-initdb.d/1.sql",
        "CREATE TABLE who AS SELECT current_user::text AS name",
    );
    container.start();
    assert_eq!(
        container.answer("user=postgres dbname=server", "admin", "SELECT name FROM who"),
        "postgres"
    );
}

#[tokio::test]
async fn an_administrator_without_password_runs_scripts_but_is_not_let_in_later() {
    let Some(mut container) = bitnami(&[("POSTGRES_INITSCRIPTS_USERNAME", "postgres")]).await else {
        return;
    };
    container.write(
        "docker-entrypoint-initdb.d/1.sql",
        "CREATE TABLE who AS SELECT current_user::text AS name; GRANT SELECT ON who TO prefect",
    );
    container.start();
    assert!(
        container
            .log()
            .contains("The user postgres, whom the scripts run as, has no password")
    );
    assert_eq!(
        container.answer(PREFECT, PASSWORD, "SELECT name FROM who"),
        "postgres"
    );
    assert!(
        container
            .refusal("user=postgres", "")
            .contains("fe_sendauth: no password supplied")
    );
}

#[tokio::test]
async fn a_failed_script_ends_the_container() {
    let Some(container) = bitnami(&[]).await else {
        return;
    };
    container.write("docker-entrypoint-initdb.d/1.sh", "echo on purpose >&2; exit 3");
    let output = container.entrypoint().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose"));
    assert!(
        !container.path("bitnami/postgresql/data/postmaster.pid").exists(),
        "the server is still running"
    );
}

#[tokio::test]
async fn extended_configuration_goes_before_the_environments() {
    let env = [
        ("POSTGRESQL_MAX_CONNECTIONS", "55"),
        ("POSTGRESQL_LOG_CONNECTIONS", "yes"),
        ("POSTGRESQL_LOG_LINE_PREFIX", "it's %p "),
        ("POSTGRESQL_CLIENT_MIN_MESSAGES", "error"),
        ("POSTGRESQL_PGAUDIT_LOG_CATALOG", "off"),
        (
            "POSTGRESQL_SHARED_PRELOAD_LIBRARIES",
            "absent_library,auto_explain",
        ),
        ("POSTGRES_INITDB_ARGS", "--data-checksums"),
        ("POSTGRESQL_EXTRA_FLAGS", "-c work_mem=5MB"),
        ("POSTGRES_POSTGRES_PASSWORD", "admin"),
    ];
    let Some(mut container) = bitnami(&env).await else {
        return;
    };
    container.write(
        "bitnami/postgresql/conf/conf.d/override.conf",
        "max_connections = 44\n",
    );
    container.start();
    let show = |name: &str| container.answer("user=postgres", "admin", &format!("SHOW {name}"));
    let shown = [
        "max_connections",
        "log_connections",
        "log_line_prefix",
        "client_min_messages",
        "data_checksums",
        "work_mem",
        "listen_addresses",
        "shared_preload_libraries",
    ]
    .map(show);
    assert_eq!(
        shown,
        ["44", "on", "it's %p ", "error", "on", "5MB", "*", "auto_explain"].map(|value| value.trim())
    );
    assert!(
        container
            .log()
            .contains("The library absent_library is not on this machine")
    );
}

#[tokio::test]
async fn given_files_replace_the_images_own() {
    let Some(mut container) = bitnami(&[]).await else {
        return;
    };
    container.write(
        "bitnami/postgresql/conf/postgresql.conf",
        "max_connections = 33\nport = 1\n",
    );
    container.write(
        "bitnami/postgresql/conf/pg_hba.conf",
        "host server prefect 127.0.0.1/32 trust\n",
    );
    container.start();
    assert_eq!(container.answer(PREFECT, "", "SHOW max_connections"), "33");
    assert!(
        container
            .refusal("user=postgres dbname=postgres", "")
            .contains("no pg_hba.conf entry")
    );
}

/// A certificate for `name`, signed by a new authority: authority, certificate and key.
fn certificate(name: &str) -> (String, String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&key).unwrap().pem();
    let own_key = rcgen::KeyPair::generate().unwrap();
    let mut own = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    own.distinguished_name.push(rcgen::DnType::CommonName, name);
    let own_pem = own
        .signed_by(&own_key, &rcgen::Issuer::new(authority, key))
        .unwrap()
        .pem();
    (authority_pem, own_pem, own_key.serialize_pem())
}

#[rstest]
#[case::without_authority(false)]
#[case::with_authority(true)]
#[tokio::test]
async fn tls_is_spoken_and_with_an_authority_wants_certificates(#[case] with_authority: bool) {
    let Some(mut container) = bitnami(&[("POSTGRESQL_ENABLE_TLS", "yes")]).await else {
        return;
    };
    if !PostgresServer::find(None).unwrap().has_tls {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: this machine's PostgreSQL speaks no TLS"
        );
        return;
    }
    let (authority, certificate, key) = certificate("prefect");
    let [authority, certificate, key] = [("ca.crt", authority), ("tls.crt", certificate), ("tls.key", key)]
        .map(|(name, text)| {
            container
                .write(&format!("opt/bitnami/postgresql/certs/{name}"), text)
                .display()
                .to_string()
        });
    container = container.with(&[
        ("POSTGRESQL_TLS_CERT_FILE", &certificate),
        ("POSTGRESQL_TLS_KEY_FILE", &key),
    ]);
    if with_authority {
        container = container.with(&[("POSTGRESQL_TLS_CA_FILE", &authority)]);
    }
    container.start();
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let encrypted = format!("{PREFECT} sslmode=require");
    if with_authority {
        assert!(
            container
                .refusal(&encrypted, PASSWORD)
                .contains("requires a valid client certificate")
        );
        let shown = format!("{PREFECT} sslmode=require sslcert={certificate} sslkey={key}");
        assert_eq!(container.answer(&shown, "", sql), "t");
    } else {
        assert_eq!(container.answer(&encrypted, PASSWORD, sql), "t");
    }
    assert_eq!(
        container.answer(&format!("{PREFECT} sslmode=disable"), PASSWORD, sql),
        "f"
    );
}

#[rstest]
#[case(&[("POSTGRES_PASSWORD", "")], "The POSTGRESQL_PASSWORD environment variable is empty or not set.")]
#[case(&[("POSTGRESQL_ENABLE_TLS", "maybe")], "The values allowed for POSTGRESQL_ENABLE_TLS are: yes or no")]
#[case(&[("POSTGRESQL_ENABLE_TLS", "yes")], "You must provide a X.509 certificate in order to use TLS")]
#[case(&[("POSTGRESQL_ENABLE_TLS", "yes"), ("POSTGRESQL_TLS_CERT_FILE", "/x.crt")], "The X.509 certificate file in the specified path /x.crt does not exist")]
#[case(&[("POSTGRESQL_ENABLE_LDAP", "yes")], "has no LDAP")]
#[case(&[("POSTGRESQL_REPLICATION_MODE", "slave")], "has no replication")]
#[tokio::test]
async fn settings_that_cannot_hold_are_refused(#[case] env: &[(&str, &str)], #[case] expected: &str) {
    let Some(container) = bitnami(env).await else {
        return;
    };
    let output = container.entrypoint().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(expected), "{told}");
    assert!(!told.contains("secret"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn the_official_image_keeps_its_own_contract() {
    let Some(container) = Container::of("postgres:15").await else {
        return;
    };
    let data = container
        .path("var/lib/postgresql/data/own")
        .display()
        .to_string();
    let port = container.port.to_string();
    let mut container = container.with(&[
        ("PGDATA", &data),
        ("PGPORT", &port),
        ("POSTGRES_USER", "owner"),
        ("POSTGRES_PASSWORD", PASSWORD),
        ("POSTGRES_DB", "some \"db\""),
    ]);
    container.start();
    let connection = r#"user=owner dbname='some "db"'"#;
    assert_eq!(container.answer(connection, PASSWORD, "SHOW is_superuser"), "on");
    let rules = "SELECT address, auth_method FROM pg_hba_file_rules ORDER BY line_number DESC LIMIT 1";
    assert_eq!(container.answer(connection, PASSWORD, rules), "all|scram-sha-256");
    container.stop();
    container.start();
    assert_eq!(container.answer(connection, PASSWORD, "SELECT 1"), "1");
}
