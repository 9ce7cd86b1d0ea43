//! Writes the files of a volume so that readers see all of the old ones or all of the new ones.
//!
//! The layout is the kubelet's, which programs that watch for changes know: the files are in a directory
//! of their own, the link `..data` leads to it, and links lead from the volume's names to `..data/NAME`.
//!
//! Source: `k8s.io/kubernetes/pkg/volume/util/atomic_writer.go`.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
};

use k8s_openapi::jiff::Timestamp;

use super::{VolumeError, files::Files, inside};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Makes `files` the content of `directory`; does nothing when they are that already.
pub(super) fn write(directory: &Path, files: &Files, group: Option<u32>) -> Result<(), VolumeError> {
    fs::create_dir_all(directory)?;
    let old = fs::read_link(directory.join(DATA)).ok();
    if let Some(old) = &old
        && is_same(&directory.join(old), files)?
    {
        return Ok(());
    }
    let name = format!("..{}", Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    let fresh = directory.join(&name);
    fs::create_dir(&fresh)?;
    for (path, (content, mode)) in files {
        write_file(&inside(&fresh, path)?, content, *mode, group)?;
    }
    symlink(&name, directory.join(NEW_DATA))?;
    fs::rename(directory.join(NEW_DATA), directory.join(DATA))?;
    link_names(directory, files)?;
    if let Some(old) = old {
        fs::remove_dir_all(directory.join(old))?;
    }
    Ok(())
}

fn is_same(current: &Path, files: &Files) -> Result<bool, VolumeError> {
    for (path, (content, _)) in files {
        match fs::read(inside(current, path)?) {
            Ok(found) if found == *content => {}
            _ => return Ok(false),
        }
    }
    Ok(count(current)? == files.len())
}

fn count(directory: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() {
            count(&entry.path())?
        } else {
            1
        };
    }
    Ok(files)
}

fn write_file(place: &Path, content: &[u8], mode: i32, group: Option<u32>) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(place, content)?;
    let mut mode = u32::try_from(mode).unwrap_or(0o644);
    if let Some(group) = group
        && chown(place, None, Some(group)).is_ok()
    {
        // the pod's group may read what its owner may
        mode |= (mode & 0o400) >> 3;
    }
    fs::set_permissions(place, fs::Permissions::from_mode(mode))
}

/// Links the first part of each path to what `..data` has, and removes links to what is gone.
fn link_names(directory: &Path, files: &Files) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files
        .keys()
        .filter_map(|path| path.split('/').find(|part| *part != "."))
        .collect();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(&*name) {
            fs::remove_file(directory.join(&*name))?;
        }
    }
    for name in wanted {
        let link = directory.join(name);
        if link.symlink_metadata().is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        let file =
            |(path, content): &(&str, &str)| ((*path).to_owned(), (content.as_bytes().to_vec(), 0o640));
        files.iter().map(file).collect()
    }

    #[test]
    fn files_change_at_once_and_only_when_they_differ() {
        let volume = tempfile::tempdir().unwrap();
        let directory = volume.path();
        let read = |path: &str| fs::read_to_string(directory.join(path)).unwrap();
        write(directory, &files(&[("a", "1"), ("d/b", "2")]), None).unwrap();
        assert_eq!((read("a"), read("d/b")), ("1".into(), "2".into()));
        assert_eq!(
            fs::metadata(directory.join("a")).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let first = fs::read_link(directory.join(DATA)).unwrap();
        write(directory, &files(&[("a", "1"), ("d/b", "2")]), None).unwrap();
        assert_eq!(fs::read_link(directory.join(DATA)).unwrap(), first);
        write(directory, &files(&[("a", "3"), ("c", "4")]), None).unwrap();
        assert_eq!((read("a"), read("c")), ("3".into(), "4".into()));
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(
            names[1..],
            ["..data", "a", "c"],
            "neither the old files nor their links are left"
        );
        assert_eq!(names.len(), 4);
    }
}
