//! `prefect-e2e doctor`: what this machine has, what it lacks and how to get it.

use std::time::Instant;

use clap::Args;
use miette::IntoDiagnostic as _;
use prefect_e2e_images::{ImageStore, PostgresServer};

use crate::{
    browser::{self, browser_program},
    check::chain,
    event::Events,
    exit_code, helm,
    secrecy::Secrets,
    target::{Embedded, Kind, STANDING_KIND, Target as _, engine_version, kind, kubectl},
};

/// Nothing to choose: it looks at everything.
#[derive(Debug, Args)]
pub(crate) struct DoctorCommand {}

/// One thing that runs may need.
struct Finding {
    subject: &'static str,
    /// What was found, or what is wrong and how to mend it.
    found: Result<String, String>,
    /// What does not work without it.
    without: &'static str,
    essential: bool,
}

impl DoctorCommand {
    /// Prints the findings and the target that `auto` takes; the exit code says whether that works.
    pub(crate) async fn run(self) -> miette::Result<u8> {
        let standing = Kind::standing().await;
        let on_kind = standing.is_some();
        let findings = [
            embedded(!on_kind).await,
            python(!on_kind)?,
            postgres(),
            chromium(),
            engine().await,
            kind_program().await,
            helm_program(),
            kubectl_program().await,
        ];
        findings.iter().for_each(Finding::print);
        println!();
        match &standing {
            Some(kind) => println!("--target auto takes {}", kind.about()),
            None => println!(
                "--target auto takes the embedded cluster, because no kind cluster {STANDING_KIND} is up"
            ),
        }
        let works = findings
            .iter()
            .all(|finding| !finding.essential || finding.found.is_ok());
        Ok(if works {
            exit_code::PASSED
        } else {
            exit_code::UNUSABLE
        })
    }
}

impl Finding {
    /// What was found in a line, and below it what its lack means.
    fn print(&self) {
        let (state, told) = match &self.found {
            Ok(found) => ("ok", found.as_str()),
            Err(problem) if self.essential => ("needed", problem.as_str()),
            Err(problem) => ("absent", problem.as_str()),
        };
        let told = told.replace('\n', "\n                          ");
        println!("{state:<7} {:<17} {told}", self.subject);
        if self.found.is_err() {
            println!("                          without it {}", self.without);
        }
    }
}

async fn embedded(essential: bool) -> Finding {
    let begin = Instant::now();
    let events = Events::new(Vec::new(), Secrets::default());
    let started = Embedded::start(&events, "to see whether it works").await;
    let found = match started {
        Ok(cluster) => {
            let took = begin.elapsed().as_millis();
            let ended = Box::new(cluster).tear_down().await;
            ended
                .map(|()| format!("starts in {took} ms"))
                .map_err(|error| chain(&error))
        }
        Err(error) => Err(chain(&error)),
    };
    Finding {
        subject: "embedded cluster",
        found,
        without: "scenarios need kind or a cluster of a kubeconfig",
        essential,
    }
}

fn python(essential: bool) -> miette::Result<Finding> {
    let images = ImageStore::open(None).into_diagnostic()?;
    Ok(Finding {
        subject: "Python",
        found: images.python().map_err(|error| chain(&error)),
        without: "the embedded cluster has no images",
        essential,
    })
}

fn postgres() -> Finding {
    let found = match PostgresServer::find(None) {
        Some(server) if server.has_tls => Ok(format!("{} at {}", server.version, server.programs.display())),
        Some(server) => Err(format!(
            "{} at {} speaks no TLS; on Debian `apt-get install postgresql` installs one that does",
            server.version,
            server.programs.display()
        )),
        None => Err("not found; on Debian `apt-get install postgresql` installs it".into()),
    };
    Finding {
        subject: "PostgreSQL",
        found,
        without: "one is fetched from the package index, and scenarios with TLS to a database are skipped",
        essential: false,
    }
}

fn chromium() -> Finding {
    Finding {
        subject: "Chromium",
        found: browser_program()
            .map(|path| path.display().to_string())
            .ok_or_else(|| browser::REMEDY.to_owned()),
        without: "the step \"UI in a browser\" is skipped",
        essential: false,
    }
}

async fn engine() -> Finding {
    Finding {
        subject: "Docker engine",
        found: engine_version().await.map_err(|error| chain(&error)),
        without: "there is no --target kind, and external databases run from this machine's programs",
        essential: false,
    }
}

async fn kind_program() -> Finding {
    let version = kind().run(&["version"]).await;
    Finding {
        subject: "kind",
        found: version
            .map(|version| version.trim().to_owned())
            .map_err(|error| chain(&error)),
        without: "there is no --target kind",
        essential: false,
    }
}

fn helm_program() -> Finding {
    Finding {
        subject: "helm",
        found: helm::version().map_err(|error| chain(&error)),
        without: "there is no --chart: the renderer makes the objects",
        essential: false,
    }
}

async fn kubectl_program() -> Finding {
    let version = kubectl().run(&["version", "--client"]).await;
    Finding {
        subject: "kubectl",
        found: version
            .map(|version| version.lines().next().unwrap_or_default().to_owned())
            .map_err(|error| chain(&error)),
        without: "what --keep leaves is harder to look at",
        essential: false,
    }
}
