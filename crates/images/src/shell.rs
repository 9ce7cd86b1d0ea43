//! `busybox` and `bitnami/os-shell`: the machine's own shell and programs.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{host, image::Image, store::Recorded};

/// Makes the image in `root`, its processes being those of `user`.
pub(crate) fn build(root: &Path, user: u32) -> io::Result<Recorded> {
    host::skeleton(root)?;
    host::users(root, "user", 1001, "/home")?;
    let image = Image {
        reference: String::new(),
        id: String::new(),
        root: PathBuf::new(),
        layers: host::complete(root, false)?,
        env: vec![(
            "PATH".into(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        )],
        working_dir: "/".into(),
        user,
        // the group of users that have none of their own
        group: 0,
        entrypoint: Vec::new(),
        command: vec!["sh".into()],
    };
    Ok(Recorded {
        image,
        python: None,
        about: "the programs of this machine".into(),
    })
}
