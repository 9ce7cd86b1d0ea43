//! `prefecthq/prefect`: a virtual environment with a release of Prefect, resolved as of its time.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    error::ImageError,
    host,
    image::{HostLayer, Image},
    progress::PullProgress,
    python::{self, Uv},
    reference::PrefectTag,
    store::Recorded,
    tool::Tools,
};

const USER: u32 = 1001;
const HOME: &str = "/home/prefect";

/// What the image's entry point does: the contract of the published image, as far as it goes without a
/// network.
const ENTRYPOINT: &str = r#"#!/bin/sh
set -e
if [ -n "$EXTRA_PIP_PACKAGES" ]; then
    echo "EXTRA_PIP_PACKAGES is set, but the embedded node has no network to install from" >&2
    exit 1
fi
exec "$@"
"#;

/// Makes the image in `root`.
pub(crate) fn build(
    tools: &Tools,
    tag: &PrefectTag,
    root: &Path,
    tools_dir: &Path,
    report: &dyn Fn(PullProgress),
) -> Result<Recorded, ImageError> {
    let step = |message: String| report(PullProgress::Step { message });
    let python = python::find(tools, tag.python.as_deref())?;
    let uv = Uv::install(tools, &python, &tools_dir.join("uv"), |line| {
        step(line.to_owned())
    })?;
    let index = uv.releases(tools)?;
    let as_of = index.as_of(&tag.version)?;
    step(format!(
        "prefect {} as of {as_of} on Python {}",
        tag.version, python.version
    ));

    host::skeleton(root).map_err(ImageError::cache(root))?;
    let venv = root.join("opt/venv");
    let uv_command = || {
        let mut command = tools.command(&uv.program);
        command
            .env("UV_CACHE_DIR", tools_dir.join("uv-cache"))
            .env("UV_PYTHON_DOWNLOADS", "never")
            .env("UV_NO_PROGRESS", "1")
            // uv's own list of authorities knows no company's proxy
            .env("UV_SYSTEM_CERTS", "true")
            .env("UV_NATIVE_TLS", "true")
            .env_remove("VIRTUAL_ENV");
        if let Some(configured) = &index.configured {
            // pip's configuration is not uv's
            command.env("UV_DEFAULT_INDEX", configured);
        }
        command
    };
    let mut make = uv_command();
    make.args(["venv", "--relocatable", "--python"])
        .arg(&python.executable)
        .arg(&venv);
    tools.run("making the virtual environment", &mut make, |_| {})?;
    let mut install = uv_command();
    install
        .args([
            "pip",
            "install",
            "--compile-bytecode",
            "--exclude-newer",
            &as_of,
            "--python",
        ])
        .arg(venv.join("bin/python"))
        .arg(format!("prefect=={}", tag.version))
        .arg("asyncpg");
    tools.run("installing Prefect", &mut install, |line| {
        step(line.trim().to_owned())
    })?;
    let mut import = tools.command(venv.join("bin/python"));
    tools.run(
        "importing Prefect",
        import.args(["-I", "-c", "import prefect.server.api.server"]),
        |_| {},
    )?;

    let layers = finish(root, &python.prefix).map_err(ImageError::cache(root))?;
    Ok(Recorded {
        image: image(layers),
        python: Some(python),
        about: format!("prefect {} as of {as_of}", tag.version),
    })
}

fn finish(root: &Path, python_prefix: &Path) -> std::io::Result<Vec<HostLayer>> {
    host::users(root, "prefect", USER, HOME)?;
    fs::create_dir_all(root.join(&HOME[1..]))?;
    let write_program = |path: &str, text: &str| {
        let path = root.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    };
    write_program("opt/prefect/entrypoint.sh", ENTRYPOINT)?;
    // a place for this program, which serves as tini
    write_program("usr/bin/tini", "")?;
    let mut layers = host::complete(root, true)?;
    layers.push(HostLayer {
        source: None,
        target: "/usr/bin/tini".into(),
        merge: false,
    });
    if !python_prefix.starts_with("/usr") {
        let inside = root.join(python_prefix.strip_prefix("/").unwrap_or(python_prefix));
        fs::create_dir_all(inside)?;
        let prefix: PathBuf = python_prefix.to_owned();
        layers.push(HostLayer {
            source: Some(prefix.clone()),
            target: prefix,
            merge: false,
        });
    }
    Ok(layers)
}

fn image(layers: Vec<HostLayer>) -> Image {
    let env = [
        (
            "PATH",
            "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", HOME),
        ("LC_ALL", "C.UTF-8"),
        ("LANG", "C.UTF-8"),
        ("UV_SYSTEM_PYTHON", "1"),
    ];
    Image {
        reference: String::new(),
        id: String::new(),
        root: PathBuf::new(),
        layers,
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        working_dir: HOME.into(),
        user: USER,
        group: USER,
        entrypoint: ["/usr/bin/tini", "-g", "--", "/opt/prefect/entrypoint.sh"]
            .map(str::to_owned)
            .into(),
        command: Vec::new(),
    }
}
