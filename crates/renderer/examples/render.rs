//! `render RELEASE --namespace NS --kube-version V -f FILE [--set k=v]`: the renderer as a process, for
//! comparing it with the chart where the `prefect-e2e` command is not built.

use std::{error::Error, process::ExitCode};

use prefect_e2e_renderer::{Layers, Release, render, to_yaml};

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(stream) => {
            print!("{stream}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<String, Box<dyn Error>> {
    let mut release = Release::new("prefect-server", "default");
    let mut layers = Layers::default();
    let mut expressions = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "render" => release.name = value()?,
            "--namespace" => release.namespace = value()?,
            "--kube-version" => release.kube_version = value()?.parse()?,
            "-f" => {
                let path = value()?;
                layers.file(&path, &std::fs::read_to_string(&path)?)?;
            }
            "--set" => expressions.push(value()?),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    for expression in expressions {
        layers.set(&expression)?;
    }
    Ok(to_yaml(&render(&release, &layers.values()?)?))
}
