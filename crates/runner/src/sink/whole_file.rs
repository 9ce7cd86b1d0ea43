//! Files that are there whole or not at all.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Writes `path` by way of a temporary file beside it, so that a reader never sees a part; makes the
/// directories that it lies in.
///
/// # Errors
/// When the directory or the file cannot be written.
pub(crate) fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".prefect-e2e-")
        // as of any new file: the umask decides
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    let mut buffer = io::BufWriter::new(temporary.as_file_mut());
    content(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    temporary.persist(path)?;
    Ok(())
}
