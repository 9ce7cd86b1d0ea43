//! What of this machine completes an image.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use crate::image::HostLayer;

/// The directories of programs and libraries outside `/usr`; links into it on most systems.
const SYSTEM: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Files and directories of `/etc` that programs need and that tell nothing of the host.
const ETC: [&str; 6] = [
    "alternatives",
    "ca-certificates",
    "ld.so.cache",
    "localtime",
    "pki/tls",
    "ssl/certs",
];

/// Prepares `root` for the host's programs, and gives the layers that bring them.
///
/// With `own_usr` the image has files of its own below `/usr`, which lie over the host's.
pub(crate) fn complete(root: &Path, own_usr: bool) -> io::Result<Vec<HostLayer>> {
    let mut layers = vec![layer("/usr", own_usr)];
    for name in SYSTEM {
        let host = Path::new("/").join(name);
        match fs::read_link(&host) {
            Ok(target) => symlink(target, root.join(name))?,
            Err(_) if host.is_dir() => {
                fs::create_dir_all(root.join(name))?;
                layers.push(layer(&format!("/{name}"), false));
            }
            Err(_) => {}
        }
    }
    for name in ETC {
        let host = Path::new("/etc").join(name);
        let inside = root.join("etc").join(name);
        if host.is_dir() {
            fs::create_dir_all(&inside)?;
        } else if host.is_file() {
            if let Some(parent) = inside.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&inside, "")?;
        } else {
            continue;
        }
        layers.push(layer(&format!("/etc/{name}"), false));
    }
    Ok(layers)
}

fn layer(path: &str, merge: bool) -> HostLayer {
    HostLayer {
        source: Some(path.into()),
        target: path.into(),
        merge,
    }
}

/// Writes the users and groups of an image: root, `name` and nobody.
pub(crate) fn users(root: &Path, name: &str, user: u32, home: &str) -> io::Result<()> {
    let etc = root.join("etc");
    fs::create_dir_all(&etc)?;
    let passwd = format!(
        "root:x:0:0:root:/root:/bin/sh\n{name}:x:{user}:{user}::{home}:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
    );
    fs::write(etc.join("passwd"), passwd)?;
    fs::write(
        etc.join("group"),
        format!("root:x:0:\n{name}:x:{user}:\nnogroup:x:65534:\n"),
    )?;
    fs::write(
        etc.join("nsswitch.conf"),
        "passwd: files\ngroup: files\nhosts: files dns\n",
    )
}

/// Makes the directories that every image has.
pub(crate) fn skeleton(root: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for name in [
        "dev", "etc", "home", "opt", "proc", "root", "run", "sys", "tmp", "usr", "var/tmp",
    ] {
        fs::create_dir_all(root.join(name))?;
    }
    for name in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o1777))?;
    }
    Ok(())
}
