//! Mounts, one function a kind.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statvfs::{FsFlags, statvfs},
    unistd::pivot_root,
};

use crate::error::{Context as _, SandboxError};

const NONE: Option<&str> = None;

/// Keeps mounts of this namespace from reaching any other.
pub(crate) fn make_private() -> Result<(), SandboxError> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .trying(|| "cannot make the mounts private".into())
}

/// Mounts a temporary filesystem.
pub(crate) fn tmpfs(target: &Path, options: &str) -> Result<(), SandboxError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options))
        .trying(|| format!("cannot mount a tmpfs at {}", target.display()))
}

/// Mounts the processes of this pid namespace.
pub(crate) fn proc(target: &Path) -> Result<(), SandboxError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), target, Some("proc"), flags, NONE)
        .trying(|| format!("cannot mount proc at {}", target.display()))
}

/// Mounts pseudo-terminals of the container's own.
pub(crate) fn devpts(target: &Path) -> Result<(), SandboxError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(
        Some("devpts"),
        target,
        Some("devpts"),
        flags,
        Some("newinstance,ptmxmode=0666,mode=0620"),
    )
    .trying(|| format!("cannot mount devpts at {}", target.display()))
}

/// Shows `lower` (the first one uppermost) at `target`, changes going to `upper` if there is one.
pub(crate) fn overlay(
    lower: &[&Path],
    upper: Option<(&Path, &Path)>,
    target: &Path,
) -> Result<(), SandboxError> {
    let lower: Vec<String> = lower.iter().map(|path| escaped(path)).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    if let Some((upper, work)) = upper {
        options.push_str(&format!(",upperdir={},workdir={}", escaped(upper), escaped(work)));
    }
    // extended attributes of the kind `trusted` are not for user namespaces
    let with_user_attributes = format!("{options},userxattr");
    let try_mount = |options: &str| {
        mount(
            Some("overlay"),
            target,
            Some("overlay"),
            MsFlags::empty(),
            Some(options),
        )
    };
    try_mount(&with_user_attributes)
        .or_else(|_| try_mount(&options))
        .trying(|| format!("cannot mount an overlay at {}", target.display()))
}

/// The path with the characters escaped that separate overlay options.
fn escaped(path: &Path) -> String {
    path.display()
        .to_string()
        .replace('\\', "\\\\")
        .replace(':', "\\:")
        .replace(',', "\\,")
}

/// Shows `source` at `target` too, which is made if absent.
pub(crate) fn bind(source: &Path, target: &Path) -> Result<(), SandboxError> {
    prepare_target(source, target)?;
    mount(
        Some(source),
        target,
        NONE,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        NONE,
    )
    .trying(|| format!("cannot show {} at {}", source.display(), target.display()))
}

fn prepare_target(source: &Path, target: &Path) -> Result<(), SandboxError> {
    let is_dir = fs::metadata(source)
        .trying(|| format!("cannot find {}", source.display()))?
        .is_dir();
    let make = || {
        if is_dir {
            return fs::create_dir_all(target);
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::symlink_metadata(target) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(target, ""),
            Err(error) => Err(error),
        }
    };
    make().trying(|| format!("cannot make the mount point {}", target.display()))
}

/// Makes the mount at `target` read-only. What lies mounted below it keeps its own flags.
pub(crate) fn make_read_only(target: &Path) -> Result<(), SandboxError> {
    let kept = statvfs(target)
        .trying(|| format!("cannot examine {}", target.display()))?
        .flags();
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    // a user namespace may add restrictions but not lift those that it inherited
    let inherited = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    for (found, flag) in inherited {
        if kept.contains(found) {
            flags |= flag;
        }
    }
    mount(NONE, target, NONE, flags, NONE).trying(|| format!("cannot make {} read-only", target.display()))
}

/// Makes `root` the root of this mount namespace; the old one is gone.
pub(crate) fn pivot(root: &Path) -> Result<(), SandboxError> {
    let enter = || -> nix::Result<()> {
        nix::unistd::chdir(root)?;
        // the old root is stacked upon the new one and taken off again
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        nix::unistd::chdir("/")
    };
    enter().trying(|| format!("cannot enter the root {}", root.display()))
}

/// `path` of the container below its root as the node sees it, with symbolic links of the container
/// followed inside it.
pub(crate) fn resolve_in(root: &Path, path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    let mut pending: Vec<std::ffi::OsString> = path
        .components()
        .rev()
        .map(|part| part.as_os_str().to_owned())
        .collect();
    let mut links = 0;
    while let Some(part) = pending.pop() {
        if part == "/" {
            resolved = PathBuf::new();
        } else if part == ".." {
            resolved.pop();
        } else if part != "." {
            let link = fs::read_link(root.join(&resolved).join(&part));
            match link {
                Ok(target) if links < 40 => {
                    links += 1;
                    pending.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
                }
                _ => resolved.push(part),
            }
        }
    }
    root.join(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_container_stay_inside_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        std::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
        std::os::unix::fs::symlink("/../../etc", root.path().join("escape")).unwrap();
        std::os::unix::fs::symlink("loop", root.path().join("loop")).unwrap();
        let resolve = |path: &str| resolve_in(root.path(), Path::new(path));
        assert_eq!(resolve("/lib/x"), root.path().join("usr/lib/x"));
        assert_eq!(resolve("/escape/passwd"), root.path().join("etc/passwd"));
        assert_eq!(resolve("/a/../../b"), root.path().join("b"));
        assert_eq!(resolve("/loop"), root.path().join("loop"));
    }

    #[test]
    fn separators_in_overlay_paths_are_escaped() {
        assert_eq!(escaped(Path::new("/a:b,c")), "/a\\:b\\,c");
    }
}
