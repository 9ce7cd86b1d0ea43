//! One suite for both backends, run for real where the machine has them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use prefect_e2e_images::PostgresServer;
use rstest::rstest;
use tempfile::TempDir;

use super::*;

const OWN_SSL: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// What to start, and the cache that it may use; `None`, telling so, where the machine cannot.
async fn options(backend: Backend, tls: Option<Tls>) -> Option<(Options, TempDir)> {
    let missing = match backend {
        Backend::Container => match testcontainers::core::client::docker_client_instance().await {
            Ok(engine) if engine.ping().await.is_err() => Some("no Docker engine answers".to_owned()),
            Ok(engine) => {
                let missing = engine.inspect_image("postgres:15").await.is_err();
                missing
                    .then(|| "the Docker engine lacks an image; `docker pull postgres:15` gets it".to_owned())
            }
            Err(error) => Some(error.to_string()),
        },
        _ => match PostgresServer::find(None) {
            None => Some("this machine has no PostgreSQL".to_owned()),
            Some(server) if tls.is_some() && !server.has_tls => {
                Some("its PostgreSQL speaks no TLS".to_owned())
            }
            Some(_) => None,
        },
    };
    if let Some(reason) = missing {
        let _ = writeln!(std::io::stderr(), "skipped: {reason}");
        return None;
    }
    let cache = tempfile::tempdir().unwrap();
    let images = ImageStore::open(Some(cache.path().to_owned())).unwrap();
    Some((
        Options {
            backend,
            tls,
            ..Options::new("prefect", "it's secret", "server", images)
        },
        cache,
    ))
}

fn required() -> Option<Tls> {
    Some(Tls {
        dns_names: vec!["postgres.example".into()],
        addresses: vec!["169.254.7.7".parse().unwrap()],
        required: true,
    })
}

fn whole(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(|error| format!("{error}: "))
        .collect()
}

async fn refusal(options: &Options, address: SocketAddr, ca_pem: Option<&str>) -> String {
    whole(
        &Client::new(options, address, ca_pem)
            .unwrap()
            .try_connect()
            .await
            .unwrap_err(),
    )
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn required_tls_refuses_plain_connections_and_wrong_passwords(
    #[values(Backend::Machine, Backend::Container)] backend: Backend,
) {
    let Some((options, _cache)) = options(backend, required()).await else {
        return;
    };
    let postgres = ExternalPostgres::start(options.clone()).await.unwrap();
    assert_eq!(postgres.query(OWN_SSL).await.unwrap(), [["t"]]);

    let plain = refusal(&options, postgres.address(), None).await;
    assert!(
        plain.contains("no pg_hba.conf entry") && plain.contains("no encryption"),
        "{plain}"
    );

    let wrong = Options {
        password: "wrong".into(),
        ..options.clone()
    };
    let wrong = refusal(&wrong, postgres.address(), postgres.ca_pem()).await;
    assert!(wrong.contains("password authentication failed"), "{wrong}");

    let other_authority = Certificates::generate(&Tls::default()).unwrap().ca_pem;
    let unknown = refusal(&options, postgres.address(), Some(&other_authority)).await;
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");

    postgres.stop().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_holds_for_all_names_asked_for(
    #[values(Backend::Machine, Backend::Container)] backend: Backend,
    #[values(("postgres.example", true), ("169.254.7.7", true), ("localhost", true), ("other.example", false))]
    name: (&str, bool),
) {
    let Some((options, _cache)) = options(backend, required()).await else {
        return;
    };
    let postgres = ExternalPostgres::start(options.clone()).await.unwrap();
    let client = Client::new(&options, postgres.address(), postgres.ca_pem())
        .unwrap()
        .named(name.0, postgres.address());
    assert_eq!(client.try_connect().await.is_ok(), name.1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn offered_tls_is_left_to_the_client(#[values(Backend::Machine, Backend::Container)] backend: Backend) {
    let Some((options, _cache)) = options(backend, Some(Tls::default())).await else {
        return;
    };
    let postgres = ExternalPostgres::start(options.clone()).await.unwrap();
    assert_eq!(postgres.query(OWN_SSL).await.unwrap(), [["t"]]);
    let plain = Client::new(&options, postgres.address(), None).unwrap();
    assert_eq!(plain.query(OWN_SSL).await.unwrap(), [["f"]]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_all_statements_are_given_as_text(
    #[values(Backend::Machine, Backend::Container)] backend: Backend,
) {
    let Some((options, _cache)) = options(backend, None).await else {
        return;
    };
    let postgres = ExternalPostgres::start(options).await.unwrap();
    assert_eq!(postgres.ca_pem(), None);
    let rows = postgres
        .query("CREATE TABLE t (n int, s text); INSERT INTO t VALUES (1, 'a'), (2, NULL); SELECT * FROM t");
    assert_eq!(rows.await.unwrap(), [["1", "a"], ["2", ""]]);
    let who = postgres.query("SELECT current_user, current_database(), current_setting('server_encoding')");
    assert_eq!(who.await.unwrap(), [["prefect", "server", "UTF8"]]);
    let error = postgres.query("SELECT nonsense").await.unwrap_err();
    assert!(whole(&error).contains(r#"column "nonsense" does not exist"#));
    postgres.query("CREATE EXTENSION pg_trgm").await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_start_tells_why(
    #[values(Backend::Machine, Backend::Container)] backend: Backend,
) {
    let Some((options, _cache)) = options(backend, None).await else {
        return;
    };
    let error = ExternalPostgres::start(Options {
        user: "pg_x".into(),
        ..options
    })
    .await
    .err()
    .unwrap();
    assert!(whole(&error).contains("pg_x"), "{}", whole(&error));
    assert!(!whole(&error).contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_reached_in_its_network_too() {
    let Some((options, _cache)) = options(Backend::Container, None).await else {
        return;
    };
    let network = Some(format!("prefect-e2e-test-{}", std::process::id()));
    let postgres = ExternalPostgres::start(Options {
        network,
        ..options.clone()
    })
    .await
    .unwrap();
    let inside = postgres.network_address().unwrap();
    assert_ne!(inside.ip(), postgres.address().ip());
    assert!(
        Client::new(&options, inside, None)
            .unwrap()
            .try_connect()
            .await
            .is_ok()
    );
    postgres.stop().await.unwrap();
}

/// The directory of a server of this machine.
async fn directory(postgres: &ExternalPostgres) -> PathBuf {
    let rows = postgres.query("SHOW data_directory").await.unwrap();
    Path::new(&rows[0][0]).parent().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_this_machine_is_closed_to_others_and_leaves_nothing() {
    let Some((options, _cache)) = options(Backend::Machine, required()).await else {
        return;
    };
    let postgres = ExternalPostgres::start(options.clone()).await.unwrap();
    let place = directory(&postgres).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o700);
    for secret in ["password", "server.key"] {
        assert_eq!(mode(&place.join(secret)), 0o600);
    }
    assert_eq!(
        postgres.query("SHOW listen_addresses").await.unwrap(),
        [["127.0.0.1"]]
    );
    assert_eq!(
        postgres.query("SHOW unix_socket_directories").await.unwrap(),
        [[""]]
    );
    let backend = postgres.query("SELECT pg_backend_pid()").await.unwrap();
    let pid: u32 = postgres
        .query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        .await
        .unwrap()[0][0]
        .parse()
        .unwrap();
    assert_ne!(backend[0][0], pid.to_string());
    assert_ne!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), 0);

    let address = postgres.address();
    postgres.stop().await.unwrap();
    assert!(!place.exists());
    assert!(TcpStream::connect(address).is_err());

    let postgres = ExternalPostgres::start(options).await.unwrap();
    let place = directory(&postgres).await;
    drop(postgres);
    assert!(!place.exists());
}

#[test]
fn a_copied_server_belongs_to_whom_it_runs_as() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    fs::create_dir_all(from.join("bin")).unwrap();
    fs::write(from.join("bin/postgres"), "program").unwrap();
    fs::set_permissions(from.join("bin/postgres"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("postgres", from.join("bin/postmaster")).unwrap();
    let to = directory.path().join("to");
    machine::copy_tree(&from, &to).unwrap();
    let copied = fs::metadata(to.join("bin/postmaster")).unwrap();
    assert_eq!((copied.len(), copied.mode() & 0o777), (7, 0o755));
    let expected = if nix::unistd::geteuid().is_root() {
        65534
    } else {
        nix::unistd::geteuid().as_raw()
    };
    for path in ["", "bin", "bin/postgres"] {
        assert_eq!(fs::metadata(to.join(path)).unwrap().uid(), expected);
    }
}

/// Set in the process that [`a_killed_program_leaves_nothing`] kills.
const HOLD: &str = "PREFECT_E2E_TEST_HOLD";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_program_leaves_nothing() {
    let Some((options, _cache)) = options(Backend::Machine, None).await else {
        return;
    };
    if std::env::var_os(HOLD).is_some() {
        let postgres = ExternalPostgres::start(options).await.unwrap();
        println!("holding {}", postgres.address());
        std::future::pending::<()>().await;
    }
    for patience in [
        None,
        Some(Duration::from_millis(30)),
        Some(Duration::from_millis(300)),
    ] {
        kill_a_program(patience);
    }
}

/// Kills a program once it has a server, or `after` it has begun to make one.
fn kill_a_program(after: Option<Duration>) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "--nocapture", "tests::a_killed_program_leaves_nothing"]);
    program
        .env(HOLD, "1")
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut program = program.spawn().unwrap();
    let servers = || {
        fs::read_dir(directory.path())
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.starts_with("prefect-e2e-postgres-").then_some(name)
            })
            .count()
    };
    let mut address = None;
    match after {
        None => {
            let lines = BufReader::new(program.stdout.take().unwrap())
                .lines()
                .map_while(Result::ok);
            let mut held = lines.filter_map(|line| Some(line.split_once("holding ")?.1.to_owned()));
            address = Some(held.next().unwrap());
            assert_eq!(servers(), 1);
        }
        Some(after) => {
            while servers() == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(after);
        }
    }
    program.kill().unwrap();
    program.wait().unwrap();
    while servers() > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(address.is_none_or(|address| TcpStream::connect(address).is_err()));
    let left = Command::new("ps")
        .args(["-eo", "stat,args"])
        .output()
        .unwrap()
        .stdout;
    let left = String::from_utf8_lossy(&left).into_owned();
    let place = directory.path().display().to_string();
    let living: Vec<&str> = left.lines().filter(|line| line.contains(&place)).collect();
    assert!(living.is_empty(), "{living:?}");
}
