//! `prefect-e2e coverage`: which of the chart's values the scenarios set, and which have an effect.

use std::fmt::Write as _;

use askama::Template;
use clap::{Args, ValueEnum};
use miette::IntoDiagnostic as _;
use prefect_e2e_scenarios::{KeyCoverage, Matrix, coverage};
use serde_json::json;

use crate::{exit_code, scenario_args::ScenarioDirectory, stdout::print};

/// How to tell, and what is enough.
#[derive(Debug, Args)]
pub(crate) struct CoverageCommand {
    #[command(flatten)]
    directory: ScenarioDirectory,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Exit with code 1 when the scenarios set less than this share of the keys
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    threshold: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A line for each key
    Table,
    /// One object: the share, and what is known of each key
    Json,
    /// A page that needs no network
    Html,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

impl CoverageCommand {
    /// Prints what is known; exit code 1 below the threshold.
    pub(crate) fn run(self) -> miette::Result<u8> {
        let matrix = Matrix::load(&self.directory.find()?).into_diagnostic()?;
        let report = Report {
            keys: coverage(&matrix.scenarios),
        };
        print(&match self.format {
            Format::Table => report.table(),
            Format::Json => report.json()?,
            Format::Html => report.render().into_diagnostic()?,
        })?;
        let share = report.share();
        match self.threshold {
            Some(threshold) if share < threshold => {
                eprintln!("the scenarios set {share:.1} % of the keys, less than {threshold} %");
                Ok(exit_code::FAILED)
            }
            _ => Ok(exit_code::PASSED),
        }
    }
}

#[derive(Template)]
#[template(path = "coverage.html")]
struct Report {
    keys: Vec<KeyCoverage>,
}

impl Report {
    fn set(&self) -> usize {
        self.keys.iter().filter(|key| !key.set_by.is_empty()).count()
    }

    /// The keys that no change of theirs brought to an object.
    fn without_reach(&self) -> Vec<&str> {
        let without = self.keys.iter().filter(|key| key.reaches.is_empty());
        without.map(|key| key.key.as_str()).collect()
    }

    /// The keys that are set, in percent of all.
    fn share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "the chart has some hundred keys")]
        let share = self.set() as f64 * 100.0 / self.keys.len().max(1) as f64;
        share
    }

    /// The result in a sentence.
    fn summary(&self) -> String {
        let without = match self.without_reach().len() {
            0 => "every key reaches an object".to_owned(),
            count => format!("{count} reach no object"),
        };
        format!(
            "{} of {} keys are set by a scenario ({:.1} %), {} are left at their default; {without}",
            self.set(),
            self.keys.len(),
            self.share(),
            self.keys.len() - self.set(),
        )
    }

    fn table(&self) -> String {
        let width = self
            .keys
            .iter()
            .map(|key| key.key.len())
            .max()
            .unwrap_or_default();
        let mut table = String::new();
        for key in &self.keys {
            let _ = writeln!(table, "{:width$}  {:30}  {}", key.key, reaches(key), set_by(key));
        }
        table + &self.summary() + "\n"
    }

    fn json(&self) -> miette::Result<String> {
        let document = json!({"percent": self.share(), "set": self.set(), "keys": self.keys});
        Ok(serde_json::to_string_pretty(&document).into_diagnostic()? + "\n")
    }
}

fn reaches(key: &KeyCoverage) -> String {
    if key.reaches.is_empty() {
        return "no object".to_owned();
    }
    key.reaches.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// The scenarios that set the key: the first, and how many more.
fn set_by(key: &KeyCoverage) -> String {
    match key.set_by.as_slice() {
        [] => "– default".to_owned(),
        [one] => one.clone(),
        [one, more @ ..] => format!("{one} and {} more", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn report() -> Report {
        let key = |key: &str, set_by: &[&str], reaches: &[&str]| KeyCoverage {
            key: key.to_owned(),
            default: "false".to_owned(),
            set_by: set_by.iter().map(|name| (*name).to_owned()).collect(),
            reaches: reaches.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        Report {
            keys: vec![
                key("server.debug", &["one", "two"], &["Deployment"]),
                key("server.<odd>", &[], &[]),
                key("service.port", &["one"], &["Ingress", "Service"]),
            ],
        }
    }

    #[test]
    fn the_table_has_a_line_a_key_and_a_summary() {
        insta::assert_snapshot!(report().table());
    }

    #[test]
    fn the_page_needs_no_network_and_escapes() {
        let page = report().render().unwrap();
        assert!(
            !page.contains("http://") && !page.contains("https://") && !page.contains("<odd>"),
            "{page}"
        );
        assert!(page.contains("server.debug") && page.contains("66.7 %"), "{page}");
    }

    #[rstest]
    #[case("50", Ok(50.0))]
    #[case("12.5%", Ok(12.5))]
    #[case("101", Err(()))]
    #[case("half", Err(()))]
    fn thresholds_are_percents(#[case] text: &str, #[case] expected: Result<f64, ()>) {
        assert_eq!(percent(text).map_err(drop), expected);
    }
}
