//! The Pythons of this machine, and what its package index tells.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::ImageError,
    tool::{Tools, on_path},
};

/// A Python of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Python {
    /// The interpreter itself, no link and no shim.
    pub(crate) executable: PathBuf,
    /// `A.B.C`.
    pub(crate) version: String,
    /// Where its library is.
    pub(crate) prefix: PathBuf,
    /// When the interpreter was last changed, in seconds; an upgrade changes it.
    pub(crate) changed: i64,
}

#[derive(Deserialize)]
struct Description {
    executable: PathBuf,
    version: String,
    prefix: PathBuf,
}

const DESCRIBE: &str = r#"
import json, os, platform, sys
name = "python%d.%d" % sys.version_info[:2]
own = os.path.join(sys.base_prefix, "bin", name)
executable = own if os.path.exists(own) else os.path.realpath(sys.executable)
print(json.dumps({"executable": executable, "version": platform.python_version(), "prefix": sys.base_prefix}))
"#;

impl Python {
    /// The Python called `program`; `None` when it does not work.
    fn examine(tools: &Tools, program: &Path) -> Option<Self> {
        let mut command = tools.command(program);
        let output = tools.run(
            "asking Python for its version",
            command.args(["-I", "-c", DESCRIBE]),
            |_| {},
        );
        let description: Description = serde_json::from_str(&output.ok()?).ok()?;
        let changed = changed(&description.executable)?;
        Some(Self {
            executable: description.executable,
            version: description.version,
            prefix: description.prefix,
            changed,
        })
    }

    /// `A.B`.
    pub(crate) fn minor(&self) -> String {
        self.version.split('.').take(2).collect::<Vec<_>>().join(".")
    }

    /// Whether it is still the one that was examined.
    pub(crate) fn is_unchanged(&self) -> bool {
        changed(&self.executable) == Some(self.changed)
    }
}

fn changed(path: &Path) -> Option<i64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|metadata| metadata.mtime())
}

/// The Python to use: the one wanted, else the first on the `PATH` that Prefect 3 runs on.
pub(crate) fn find(tools: &Tools, wanted: Option<&str>) -> Result<Python, ImageError> {
    const SUPPORTED: [&str; 5] = ["3.10", "3.11", "3.12", "3.13", "3.9"];
    let mut names = vec!["python3".to_owned()];
    names.extend(SUPPORTED.iter().map(|version| format!("python{version}")));
    if let Some(wanted) = wanted {
        names.insert(0, format!("python{wanted}"));
    }
    let mut present: Vec<String> = Vec::new();
    for program in names.iter().flat_map(|name| on_path(name)) {
        let Some(python) = Python::examine(tools, &program) else {
            continue;
        };
        let fits = match wanted {
            Some(wanted) => python.minor() == wanted,
            None => SUPPORTED.contains(&python.minor().as_str()),
        };
        if fits {
            return Ok(python);
        }
        if !present.contains(&python.version) {
            present.push(python.version);
        }
    }
    match wanted {
        _ if present.is_empty() => Err(ImageError::NoPython),
        Some(wanted) => Err(ImageError::NoSuchPython {
            wanted: wanted.to_owned(),
            present,
        }),
        None => Err(ImageError::NoSuchPython {
            wanted: "3.9 to 3.13".into(),
            present,
        }),
    }
}

/// `uv`, installed into the cache from the package index.
pub(crate) struct Uv {
    pub(crate) program: PathBuf,
    /// A Python with pip beside it.
    python: PathBuf,
}

impl Uv {
    /// Installs it unless it is there. Call it while holding the lock of `directory`.
    pub(crate) fn install(
        tools: &Tools,
        python: &Python,
        directory: &Path,
        mut on_line: impl FnMut(&str),
    ) -> Result<Self, ImageError> {
        let uv = Self {
            program: directory.join("bin/uv"),
            python: directory.join("bin/python"),
        };
        let mut works = tools.command(&uv.program);
        if uv.program.exists()
            && uv.python.exists()
            && tools.run("asking uv", works.arg("--version"), |_| {}).is_ok()
        {
            return Ok(uv);
        }
        on_line("installing uv");
        let mut command = tools.command(&python.executable);
        tools.run(
            "making a virtual environment",
            command.args(["-m", "venv", "--clear"]).arg(directory),
            &mut on_line,
        )?;
        tools.run(
            "installing uv",
            uv.pip(tools).args(["install", "uv"]),
            &mut on_line,
        )?;
        Ok(uv)
    }

    /// pip, which knows the machine's configured index, certificates and proxies; its arguments follow.
    pub(crate) fn pip(&self, tools: &Tools) -> Command {
        let mut command = tools.command(&self.python);
        command.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
        command
    }

    /// The configured index, and when each release of Prefect was uploaded.
    pub(crate) fn releases(&self, tools: &Tools) -> Result<Index, ImageError> {
        let mut command = tools.command(&self.python);
        let output = tools.run("asking the package index", command.args(["-c", RELEASES]), |_| {})?;
        let index: Index = serde_json::from_str(&output).map_err(|error| ImageError::Command {
            action: "asking the package index",
            output: error.to_string(),
            hint: None,
        })?;
        if index.uploads.is_empty() {
            return Err(ImageError::NoUploadTimes { index: index.url });
        }
        Ok(index)
    }
}

/// What the package index tells of Prefect.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Index {
    /// Its address, without credentials.
    pub(crate) url: String,
    /// Whether it is configured, rather than pip's own default.
    pub(crate) configured: Option<String>,
    /// When the first file of each version was uploaded, RFC 3339.
    pub(crate) uploads: BTreeMap<String, String>,
}

impl Index {
    /// The moment as of which `version` is installed: a day after its upload, so that all of its files
    /// and what was released together with it are there.
    pub(crate) fn as_of(&self, version: &str) -> Result<String, ImageError> {
        let uploaded = self.uploads.get(version).ok_or_else(|| ImageError::NoRelease {
            version: version.to_owned(),
            nearest: self.nearest(version),
        })?;
        let day = uploaded
            .get(..10)
            .and_then(|day| day.parse::<jiff::civil::Date>().ok());
        let next = day.and_then(|day| day.checked_add(jiff::ToSpan::days(2)).ok());
        next.map(|day| day.to_string())
            .ok_or_else(|| ImageError::NoUploadTimes {
                index: self.url.clone(),
            })
    }

    fn nearest(&self, version: &str) -> Vec<String> {
        let number =
            |text: &str| -> Vec<u64> { text.split('.').filter_map(|part| part.parse().ok()).collect() };
        let wanted = number(version);
        let mut known: Vec<&String> = self
            .uploads
            .keys()
            .filter(|known| number(known).len() == 3)
            .collect();
        known.sort_by_key(|known| number(known));
        let place = known.partition_point(|known| number(known) < wanted);
        let (start, end) = (place.saturating_sub(2), (place + 2).min(known.len()));
        known[start..end].iter().map(|known| (*known).clone()).collect()
    }
}

/// Asks through pip's own machinery, so that its index, certificates and proxies are honoured.
const RELEASES: &str = r#"
import json, os, re
from urllib.parse import urlsplit, urlunsplit
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI
from pip._vendor import requests

configuration = Configuration(isolated=False)
configuration.load()
values = dict(configuration.items())
if values and all(isinstance(value, dict) for value in values.values()):
    values = {key: value for file in values.values() for key, value in file.items()}

def option(name):
    for section in (":env:", "install", "global"):
        value = values.get(section + "." + name)
        if value:
            return value
    return None

configured = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or option("index-url")
index = (configured or PyPI.simple_url).split("=", 1)[-1] if configured and "=" in configured.split("://")[0] else (configured or PyPI.simple_url)
certificates = option("cert") or os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
answer = requests.get(
    index.rstrip("/") + "/prefect/",
    headers={"Accept": "application/vnd.pypi.simple.v1+json"},
    verify=certificates or True,
    timeout=60,
)
answer.raise_for_status()
uploads = {}
for file in answer.json().get("files", []):
    version = re.match(r"prefect-(\d+\.\d+\.\d+)(?:-py3|\.tar\.gz)", file["filename"])
    time = file.get("upload-time")
    if version and time and not file.get("yanked"):
        uploads[version[1]] = min(time, uploads.get(version[1], time))
parts = urlsplit(index)
plain = urlunsplit(parts._replace(netloc=parts.hostname + (":%d" % parts.port if parts.port else "")))
print(json.dumps({"url": plain, "configured": configured, "uploads": uploads}))
"#;

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn index() -> Index {
        let uploads = [
            ("3.2.7", "2025-02-21T20:11:02Z"),
            ("3.6.8", "2025-12-30T00:00:00Z"),
            ("3.6.9", "2026-01-08T23:59:59.123Z"),
        ];
        Index {
            url: "https://index/simple".into(),
            configured: None,
            uploads: uploads
                .map(|(version, time)| (version.to_owned(), time.to_owned()))
                .into(),
        }
    }

    #[rstest]
    #[case("3.2.7", "2025-02-23")]
    #[case("3.6.9", "2026-01-10")]
    fn a_release_is_installed_as_of_its_time(#[case] version: &str, #[case] expected: &str) {
        assert_eq!(index().as_of(version).unwrap(), expected);
    }

    #[test]
    fn an_unknown_release_names_its_neighbours() {
        let error = index().as_of("3.6.7").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the package index has no prefect 3.6.7; the nearest are 3.2.7, 3.6.8, 3.6.9"
        );
    }
}
