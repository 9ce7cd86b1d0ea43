//! What the HTML report shows of the files and objects of a scenario.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    Secrets,
    sink::{scenario_record::ArtifactRecord, wording},
};

/// A picture larger than this is named, not shown.
const LARGEST_PICTURE: u64 = 4 * 1024 * 1024;

/// Of a log this much is shown, its end.
const MOST_OF_A_LOG: u64 = 128 * 1024;

/// A picture, in the page itself.
pub(super) struct Picture<'a> {
    pub(super) about: &'a str,
    pub(super) source: String,
}

/// A file that is no picture, with its end when it is text.
pub(super) struct FileView<'a> {
    pub(super) about: &'a str,
    pub(super) path: &'a str,
    pub(super) text: Option<String>,
}

/// An object that was deployed.
pub(super) struct ObjectView {
    pub(super) title: String,
    pub(super) text: String,
}

/// The artifacts that are shown as pictures, and the others.
pub(super) fn artifacts<'a>(
    artifacts: &'a [ArtifactRecord],
    secrets: &Secrets,
) -> (Vec<Picture<'a>>, Vec<FileView<'a>>) {
    let (mut pictures, mut files) = (Vec::new(), Vec::new());
    for artifact in artifacts {
        match picture(artifact) {
            Some(picture) => pictures.push(picture),
            None => files.push(FileView::of(artifact, secrets)),
        }
    }
    (pictures, files)
}

impl<'a> FileView<'a> {
    fn of(artifact: &'a ArtifactRecord, secrets: &Secrets) -> Self {
        let is_text = ["log", "txt", "yaml", "json", "md"].contains(&extension(&artifact.path));
        // a file that is gone is still worth its name
        let text = is_text
            .then(|| end_of_file(Path::new(&artifact.path)).ok())
            .flatten();
        let text = text.map(|text| wording::printable(&secrets.hide(&text)).into_owned());
        Self {
            about: &artifact.about,
            path: &artifact.path,
            text,
        }
    }
}

fn end_of_file(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(MOST_OF_A_LOG);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if skipped > 0 {
        format!("… {skipped} bytes before these\n{text}")
    } else {
        text
    })
}

/// A picture as it stands in a page that has no other file.
fn picture(artifact: &ArtifactRecord) -> Option<Picture<'_>> {
    let kind = match extension(&artifact.path) {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        _ => return None,
    };
    let path = Path::new(&artifact.path);
    fs::metadata(path)
        .ok()
        .filter(|file| file.len() <= LARGEST_PICTURE)?;
    let bytes = fs::read(path).ok()?;
    Some(Picture {
        about: &artifact.about,
        source: format!("data:{kind};base64,{}", STANDARD.encode(bytes)),
    })
}

fn extension(path: &str) -> &str {
    Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
}

/// The objects of a YAML stream, each with its kind and name.
pub(super) fn objects(stream: &str) -> Vec<ObjectView> {
    let documents = stream
        .split("\n---\n")
        .map(str::trim)
        .filter(|document| !document.is_empty());
    documents
        .map(|document| {
            let object: Value = serde_saphyr::from_str(document).unwrap_or_default();
            let kind = object["kind"].as_str().unwrap_or("object");
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let title = format!("{kind} {name}").trim_end().to_owned();
            ObjectView {
                title,
                text: document.trim_start_matches("---\n").to_owned(),
            }
        })
        .collect()
}
