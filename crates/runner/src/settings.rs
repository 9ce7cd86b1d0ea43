//! `prefect-e2e.toml`: settings of a directory and all below it. Flags win over the environment, the
//! environment over the file, the file over the defaults.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use clap::{
    Command,
    builder::{ArgPredicate, OsStr, Resettable},
};
use prefect_e2e_renderer::nearest;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

const FILE: &str = "prefect-e2e.toml";

/// The settings that a file may hold, by the names of the flags that they stand for.
const SETTINGS: [Setting; 13] = [
    Setting::new("scenarios", "scenarios", Form::Path),
    Setting::new("target", "target", Form::Text),
    Setting::new("context", "context", Form::Text),
    Setting::new("jobs", "jobs", Form::Number),
    Setting::new("timeout", "timeout", Form::Number),
    Setting::new("retries", "retries", Form::Number),
    Setting::new("keep-failed", "keep_failed", Form::Switch),
    Setting::new("chart", "chart", Form::Text),
    Setting::new("images", "image", Form::Texts),
    Setting::new("artifacts", "artifacts", Form::Path),
    Setting::new("reports.junit", "junit", Form::Path),
    Setting::new("reports.events", "events", Form::Path),
    Setting::new("reports.html", "html", Form::Path),
];

/// A setting of the file.
#[derive(Debug, Clone, Copy)]
struct Setting {
    /// Its key, with dots.
    key: &'static str,
    /// The argument that it gives a default to.
    argument: &'static str,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Switch,
    /// Relative to the file; `-` is standard output.
    Path,
    Texts,
}

impl Form {
    fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a whole number",
            Self::Switch => "true or false",
            Self::Path => "a path",
            Self::Texts => "a list of texts",
        }
    }
}

impl Setting {
    const fn new(key: &'static str, argument: &'static str, form: Form) -> Self {
        Self { key, argument, form }
    }
}

/// The file that holds for a directory.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    given: BTreeMap<&'static str, Given>,
}

#[derive(Debug)]
struct Given {
    values: Vec<String>,
    /// File, line and column.
    place: String,
}

/// A file of settings cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum SettingsError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is not TOML.
    #[error("{place}: not valid TOML: {problem}")]
    Syntax { place: String, problem: String },
    /// It has a key that means nothing.
    #[error("{place}: unknown setting `{key}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    #[diagnostic(help("known are {known}"))]
    Unknown {
        place: String,
        key: String,
        nearest: Option<String>,
        known: String,
    },
    /// A value has another form.
    #[error("{place}: `{key}` is {found}, allowed is {allowed}")]
    Form {
        place: String,
        key: &'static str,
        found: &'static str,
        allowed: &'static str,
    },
    /// A value is not one of those that are allowed.
    #[error("{place}: `{key}`: {problem}")]
    Value {
        place: String,
        key: &'static str,
        problem: String,
    },
}

impl Settings {
    /// The settings for the working directory: of the file there, or of the nearest directory above.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub(crate) fn find(cli: &Command) -> Result<Self, SettingsError> {
        let here = env::current_dir().unwrap_or_default();
        let Some(path) = here
            .ancestors()
            .map(|above| above.join(FILE))
            .find(|path| path.is_file())
        else {
            return Ok(Self::default());
        };
        let text = fs::read_to_string(&path).map_err(|source| SettingsError::Read {
            path: path.clone(),
            source,
        })?;
        let settings = Self::parse(&path, &text)?;
        settings.check(cli)?;
        Ok(settings)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let place = |at: usize| format!("{}:{}", path.display(), line_and_column(text, at));
        let document = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
            place: place(error.span().map_or(0, |span| span.start)),
            problem: error.message().to_owned(),
        })?;
        let mut settings = Self::default();
        for (key, at, value) in flat("", document.get_ref()) {
            let place = place(at);
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                return Err(unknown(place, key));
            };
            let values = values(*setting, value, path).map_err(|found| SettingsError::Form {
                place: place.clone(),
                key: setting.key,
                found,
                allowed: setting.form.in_words(),
            })?;
            settings.given.insert(setting.argument, Given { values, place });
        }
        Ok(settings)
    }

    /// Lets the command line judge the values, as it would those of flags.
    fn check(&self, cli: &Command) -> Result<(), SettingsError> {
        for setting in SETTINGS {
            let Some(given) = self.given.get(setting.argument) else {
                continue;
            };
            if setting.form == Form::Switch {
                continue;
            }
            let flag = format!("--{}", setting.argument.replace('_', "-"));
            let flags = given.values.iter().map(|value| format!("{flag}={value}"));
            let words = [cli.get_name().to_owned(), "run".to_owned()]
                .into_iter()
                .chain(flags);
            if let Err(error) = cli.clone().try_get_matches_from(words) {
                let shown = error.render().to_string();
                let problem = shown.trim_start_matches("error: ").split("\n\n").next();
                return Err(SettingsError::Value {
                    place: given.place.clone(),
                    key: setting.key,
                    problem: problem.unwrap_or_default().to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The command line with the settings for defaults.
    pub(crate) fn apply(&self, cli: Command) -> Command {
        let names: Vec<String> = cli
            .get_subcommands()
            .map(|one| one.get_name().to_owned())
            .collect();
        names.into_iter().fold(cli, |cli, name| {
            cli.mut_subcommand(name, |command| self.apply_to(command))
        })
    }

    fn apply_to(&self, command: Command) -> Command {
        command.mut_args(|argument| {
            let Some(given) = self.given.get(argument.get_id().as_str()) else {
                return argument;
            };
            let values = given.values.clone();
            if argument.get_id() != "context" {
                return argument.default_values(values);
            }
            // a context is for the target that the file has, and not for another one of the command line
            let context = values.into_iter().next().unwrap_or_default();
            let argument = argument
                .default_value_if(
                    "target",
                    ArgPredicate::from("kubeconfig"),
                    Resettable::Value(context.clone().into()),
                )
                .default_value_if("target", ArgPredicate::IsPresent, Resettable::<OsStr>::Reset);
            match self.text("target") {
                Some("kubeconfig") => argument.default_value(context),
                _ => argument,
            }
        })
    }

    /// The text of a setting, by its argument.
    pub(crate) fn text(&self, argument: &str) -> Option<&str> {
        self.given.get(argument)?.values.first().map(String::as_str)
    }

    /// Where the file sets an argument.
    pub(crate) fn place(&self, argument: &str) -> Option<&str> {
        self.given.get(argument).map(|given| given.place.as_str())
    }

    /// The keys of all settings and their arguments.
    pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        SETTINGS.iter().map(|setting| (setting.key, setting.argument))
    }
}

/// The entries of a table and of those within, with their keys and where they are.
fn flat<'a>(above: &str, table: &'a DeTable<'a>) -> Vec<(String, usize, &'a Spanned<DeValue<'a>>)> {
    let mut entries = Vec::new();
    for (name, value) in table {
        let key = match above {
            "" => name.get_ref().to_string(),
            above => format!("{above}.{}", name.get_ref()),
        };
        let within = format!("{key}.");
        match value.get_ref() {
            DeValue::Table(inner) if SETTINGS.iter().any(|setting| setting.key.starts_with(&within)) => {
                entries.extend(flat(&key, inner));
            }
            _ => entries.push((key, name.span().start, value)),
        }
    }
    entries
}

/// The values as a command line has them, or what was found instead.
fn values(setting: Setting, value: &Spanned<DeValue<'_>>, file: &Path) -> Result<Vec<String>, &'static str> {
    let found = match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    match (setting.form, value.get_ref()) {
        (Form::Text, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (Form::Path, DeValue::String(text)) if text == "-" => Ok(vec![text.to_string()]),
        (Form::Path, DeValue::String(text)) => {
            let directory = file.parent().unwrap_or(Path::new("."));
            Ok(vec![directory.join(&**text).display().to_string()])
        }
        (Form::Number, DeValue::Integer(number)) => Ok(vec![number.to_string()]),
        (Form::Switch, DeValue::Boolean(switch)) => Ok(vec![switch.to_string()]),
        (Form::Texts, DeValue::Array(items)) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                _ => Err("a list of something else"),
            })
            .collect(),
        _ => Err(found),
    }
}

fn unknown(place: String, key: String) -> SettingsError {
    let known = SETTINGS.map(|setting| setting.key.to_owned());
    SettingsError::Unknown {
        place,
        nearest: nearest(&key, &known),
        known: known.join(", "),
        key,
    }
}

/// `line:column` of a byte of `text`, both from 1.
fn line_and_column(text: &str, at: usize) -> String {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use rstest::rstest;

    use super::*;
    use crate::cli::Cli;

    fn settings(text: &str) -> Result<Settings, SettingsError> {
        let settings = Settings::parse(Path::new("/work/prefect-e2e.toml"), text)?;
        settings.check(&Cli::command())?;
        Ok(settings)
    }

    /// The values of `run`'s argument under a file and a command line.
    fn effective(text: &str, words: &[&str], argument: &str) -> Vec<String> {
        let cli = settings(text).unwrap().apply(Cli::command());
        let words = ["prefect-e2e", "run"].iter().chain(words);
        let matches = cli.try_get_matches_from(words).unwrap();
        let (_, run) = matches.subcommand().unwrap();
        let values = run.get_raw(argument).into_iter().flatten();
        values.map(|value| value.to_string_lossy().into_owned()).collect()
    }

    #[rstest]
    #[case("jobs = 3", &[], "jobs", &["3"])]
    #[case("jobs = 3", &["--jobs", "5"], "jobs", &["5"])]
    #[case("", &[], "timeout", &["180"])]
    #[case("timeout = 60", &[], "timeout", &["60"])]
    #[case("[reports]\njunit = 'out/junit.xml'", &[], "junit", &["/work/out/junit.xml"])]
    #[case("reports.events = '-'", &[], "events", &["-"])]
    #[case("images = ['a=b', 'c=d']", &[], "image", &["a=b", "c=d"])]
    #[case("images = ['a=b', 'c=d']", &["--image", "e=f"], "image", &["e=f"])]
    #[case("keep-failed = true", &[], "keep_failed", &["true"])]
    #[case("target = 'kubeconfig'\ncontext = 'dev'", &[], "context", &["dev"])]
    #[case("target = 'kubeconfig'\ncontext = 'dev'", &["--target", "embedded"], "context", &[])]
    #[case("context = 'dev'", &["--target", "kubeconfig"], "context", &["dev"])]
    #[case("context = 'dev'", &[], "context", &[])]
    fn flags_win_over_the_file_and_the_file_over_defaults(
        #[case] text: &str,
        #[case] words: &[&str],
        #[case] argument: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(effective(text, words, argument), expected);
    }

    #[rstest]
    #[case(
        "jbos = 3",
        "/work/prefect-e2e.toml:1:1: unknown setting `jbos`; did you mean `jobs`?"
    )]
    #[case(
        "\n[reports]\n  junt = 'x'",
        "/work/prefect-e2e.toml:3:3: unknown setting `reports.junt`; did you mean `reports.junit`?"
    )]
    #[case("nothing-like-it = 1", "1:1: unknown setting `nothing-like-it`")]
    #[case("jobs = 'many'", "1:1: `jobs` is a text, allowed is a whole number")]
    #[case("images = 'a=b'", "1:1: `images` is a text, allowed is a list of texts")]
    #[case("images = ['a']", "1:1: `images`: invalid value 'a'")]
    #[case("jobs = 1\ntarget = 'moon'", "2:1: `target`: invalid value 'moon'")]
    #[case("jobs = -1", "1:1: `jobs`: invalid value '-1'")]
    #[case("jobs = ", "1:8: not valid TOML")]
    fn what_is_wrong_is_told_with_its_place(#[case] text: &str, #[case] message: &str) {
        let error = settings(text).unwrap_err().to_string();
        assert!(error.contains(message), "{message:?} is not in {error:?}");
    }

    #[test]
    fn every_setting_is_a_flag_of_run_with_a_variable() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for (key, argument) in Settings::all() {
            let argument = run.get_arguments().find(|one| one.get_id() == argument).unwrap();
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            assert!(
                variable.is_some_and(|name| name.starts_with("PREFECT_E2E_")),
                "{key}"
            );
        }
    }
}
