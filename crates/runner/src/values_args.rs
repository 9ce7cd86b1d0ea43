//! The part of the command line that says values, with helm's flags.

use std::{
    fs,
    io::{self, Read as _},
    path::PathBuf,
};

use clap::Args;
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use prefect_e2e_renderer::Layers;

/// Values, in layers: files in order, then expressions.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Values")]
pub(crate) struct ValuesArgs {
    /// A values file, `-` for standard input; repeat it to lay files over each other
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Set values: key=value,other.key=value
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Set values as text
    #[arg(long, value_name = "KEY=VALUE")]
    set_string: Vec<String>,
    /// Set values as JSON
    #[arg(long, value_name = "KEY=JSON")]
    set_json: Vec<String>,
    /// Set values to the contents of files
    #[arg(long, value_name = "KEY=FILE")]
    set_file: Vec<String>,
}

impl ValuesArgs {
    /// The layers in helm's order: files, JSON, plain, text, contents of files.
    pub(crate) fn layers(&self) -> miette::Result<Layers> {
        let mut layers = Layers::default();
        for path in &self.files {
            let (origin, text) = read_values(path)?;
            layers.file(&origin, &text).into_diagnostic()?;
        }
        for expression in &self.set_json {
            layers.set_json(expression).into_diagnostic()?;
        }
        for expression in &self.set {
            layers.set(expression).into_diagnostic()?;
        }
        for expression in &self.set_string {
            layers.set_string(expression).into_diagnostic()?;
        }
        for expression in &self.set_file {
            for (key, path) in pairs(expression)? {
                let content = fs::read_to_string(&path).into_diagnostic();
                let content = content.wrap_err_with(|| format!("--set-file {key}: cannot read {path}"))?;
                layers.set_file(&key, &content).into_diagnostic()?;
            }
        }
        Ok(layers)
    }

    /// The same for the helm command, which reads the files itself.
    pub(crate) fn for_helm(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let files: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
        for (flag, values) in [
            ("--values", &files),
            ("--set-json", &self.set_json),
            ("--set", &self.set),
            ("--set-string", &self.set_string),
            ("--set-file", &self.set_file),
        ] {
            for value in values {
                arguments.extend([flag.to_owned(), value.clone()]);
            }
        }
        arguments
    }
}

/// The name and the text of a values file; `-` is standard input.
pub(crate) fn read_values(path: &PathBuf) -> miette::Result<(String, String)> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .into_diagnostic()
            .wrap_err("cannot read standard input")?;
        return Ok(("standard input".to_owned(), text));
    }
    let text = fs::read_to_string(path).into_diagnostic();
    let text = text.wrap_err_with(|| format!("cannot read the values file {}", path.display()))?;
    Ok((path.display().to_string(), text))
}

/// The `key=path` pairs of an expression. A backslash takes the meaning of the next character, and
/// stays in keys, where it means something to the path.
fn pairs(expression: &str) -> miette::Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let (mut key, mut path) = (String::new(), None::<String>);
    let mut chars = expression.chars();
    loop {
        let next = chars.next();
        match (next, &mut path) {
            (None | Some(','), _) => {
                let path = path.take().ok_or_else(|| {
                    miette!(
                        help = "write --set-file key=path",
                        "--set-file {expression}: `{key}` names no file"
                    )
                })?;
                pairs.push((std::mem::take(&mut key), path));
                if next.is_none() {
                    return Ok(pairs);
                }
            }
            (Some('='), None) => path = Some(String::new()),
            (Some('\\'), None) => key.extend(['\\'].into_iter().chain(chars.next())),
            (Some(c), None) => key.push(c),
            (Some('\\'), Some(path)) => path.extend(chars.next()),
            (Some(c), Some(path)) => path.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_are_parted_at_commas_that_are_not_escaped() {
        let parsed = pairs(r"a\.b.c=x\,y=z,d=e").expect("pairs");
        assert_eq!(
            parsed,
            [(r"a\.b.c".into(), "x,y=z".into()), ("d".into(), "e".into())]
        );
        assert!(pairs("a").is_err());
    }

    #[test]
    fn files_lie_under_expressions() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("v.yaml");
        let content = directory.path().join("content");
        fs::write(&file, "server: {replicaCount: 2, loggingLevel: INFO}\n").expect("a file");
        fs::write(&content, "a, b\n").expect("a file");
        let args = ValuesArgs {
            files: vec![file],
            set: vec!["server.replicaCount=3".into()],
            set_string: vec!["nameOverride=5".into()],
            set_json: vec![r#"server.args=["a"]"#.into()],
            set_file: vec![format!("server.podAnnotations.c={}", content.display())],
        };
        assert_eq!(
            args.layers().expect("layers").user_values(),
            &json!({
                "server": {
                    "replicaCount": 3,
                    "loggingLevel": "INFO",
                    "args": ["a"],
                    "podAnnotations": {"c": "a, b\n"},
                },
                "nameOverride": "5",
            })
        );
        assert_eq!(args.for_helm().len(), 10);
    }
}
