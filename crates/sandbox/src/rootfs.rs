//! The root filesystem of a container: the image, what completes it, devices and volumes.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    error::{Context as _, SandboxError},
    mount,
    spec::{ContainerSpec, Layer},
};

/// Devices that every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Files of `/proc` that tell of the host or change it, hidden or read-only as container runtimes do.
const HIDDEN: [&str; 6] = ["acpi", "kcore", "keys", "latency_stats", "timer_list", "scsi"];
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Puts the container's root together in this mount namespace and gives its place.
///
/// `/proc` is still missing: only the container's first process can mount it.
pub(crate) fn assemble(spec: &ContainerSpec) -> Result<PathBuf, SandboxError> {
    let root = spec.directory.join("root");
    let (upper, work) = (spec.directory.join("upper"), spec.directory.join("work"));
    for directory in [&root, &upper, &work] {
        fs::create_dir_all(directory).trying(|| format!("cannot make {}", directory.display()))?;
    }
    mount::overlay(&[&spec.root], Some((&upper, &work)), &root)?;
    for layer in &spec.layers {
        add_layer(&spec.root, &root, layer)?;
    }
    devices(&root)?;
    for directory in ["proc", "sys"] {
        let path = root.join(directory);
        fs::create_dir_all(&path).trying(|| format!("cannot make {}", path.display()))?;
    }
    mount::tmpfs(&root.join("sys"), "mode=0555,size=4k")?;
    mount::make_read_only(&root.join("sys"))?;
    for volume in &spec.mounts {
        let target = mount::resolve_in(&root, &volume.target);
        mount::bind(&volume.source, &target)?;
        if !volume.writable {
            mount::make_read_only(&target)?;
        }
    }
    let working_dir = mount::resolve_in(&root, &spec.working_dir);
    fs::create_dir_all(&working_dir)
        .trying(|| format!("cannot make the working directory {}", spec.working_dir.display()))?;
    Ok(root)
}

/// What is left once `/proc` is mounted: hide parts of it, and close the root.
pub(crate) fn seal(spec: &ContainerSpec, root: &Path) -> Result<(), SandboxError> {
    let proc = root.join("proc");
    mount::proc(&proc)?;
    for name in HIDDEN {
        let path = proc.join(name);
        if path.is_dir() {
            mount::tmpfs(&path, "mode=0555,size=4k")?;
        } else if path.exists() {
            mount::bind(Path::new("/dev/null"), &path)?;
        }
    }
    for name in READ_ONLY {
        let path = proc.join(name);
        if path.exists() {
            mount::bind(&path, &path)?;
            mount::make_read_only(&path)?;
        }
    }
    if spec.read_only_root {
        mount::make_read_only(root)?;
    }
    Ok(())
}

fn add_layer(image: &Path, root: &Path, layer: &Layer) -> Result<(), SandboxError> {
    let inside = layer.target.strip_prefix("/").unwrap_or(&layer.target);
    let target = root.join(inside);
    if layer.merge {
        return mount::overlay(&[&image.join(inside), &layer.source], None, &target);
    }
    mount::bind(&layer.source, &target)?;
    mount::make_read_only(&target)
}

fn devices(root: &Path) -> Result<(), SandboxError> {
    let dev = root.join("dev");
    let make = |path: &Path| fs::create_dir_all(path).trying(|| format!("cannot make {}", path.display()));
    make(&dev)?;
    mount::tmpfs(&dev, "mode=0755,size=64k")?;
    for name in DEVICES {
        mount::bind(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    for directory in ["pts", "shm", "mqueue"] {
        make(&dev.join(directory))?;
    }
    mount::devpts(&dev.join("pts"))?;
    mount::tmpfs(&dev.join("shm"), "mode=1777,size=64m")?;
    let links = [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
    ];
    for (target, name) in links {
        symlink(target, dev.join(name)).trying(|| format!("cannot make /dev/{name}"))?;
    }
    Ok(())
}
