//! What is doubtful in a scenario file, beyond what loading refuses: values that cannot be rendered,
//! proofs that the values make meaningless, lines that say nothing.

mod proofs;
mod values;

use std::{fmt, path::Path};

use prefect_e2e_renderer::locate;
use serde::Serialize;

use crate::{
    format::Scenario,
    load::{ScenarioError, parse},
};

/// Something of a scenario file that is wrong or says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Line and column, both from 1, where they are known.
    pub position: Option<(u64, u64)>,
    /// Which rule found it.
    pub rule: Rule,
    /// The key of the file that it is about, with dots; empty for the file as a whole.
    pub key: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// What a linter looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A run refuses the file.
    Unreadable,
    /// The file does not name its schema for editors.
    SchemaLine,
    /// The values cannot be rendered, though a deployment is expected.
    Unrenderable,
    /// The values are rendered, though a refusal is expected, or are refused for another reason.
    NotRefused,
    /// The values make a proof meaningless.
    MeaninglessProof,
    /// Something is made beforehand and nothing uses it.
    UnusedRequirement,
    /// A value is the chart's default already.
    DefaultValue,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "unreadable",
            Self::SchemaLine => "schema-line",
            Self::Unrenderable => "unrenderable",
            Self::NotRefused => "not-refused",
            Self::MeaninglessProof => "meaningless-proof",
            Self::UnusedRequirement => "unused-requirement",
            Self::DefaultValue => "default-value",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}: {}", self.rule, self.message)
    }
}

/// What is found in the text of one scenario file.
struct Linter<'a> {
    origin: &'a str,
    text: &'a str,
    findings: Vec<Finding>,
}

/// Looks at the scenario file `text`; `origin` is its path, from which comes its name.
#[must_use]
pub fn lint(origin: &str, text: &str) -> Vec<Finding> {
    let mut linter = Linter {
        origin,
        text,
        findings: Vec::new(),
    };
    linter.schema_line();
    let name = Path::new(origin)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    match parse(&name, origin, text) {
        Ok(scenario) => linter.scenario(&scenario),
        Err(error) => linter.unreadable(&error),
    }
    linter.findings.sort_by_key(|finding| finding.position);
    linter.findings
}

impl Linter<'_> {
    fn scenario(&mut self, scenario: &Scenario) {
        if let Some(values) = self.rendered(scenario) {
            self.proofs(scenario, &values);
        }
        self.requirements(scenario);
        self.default_values(scenario);
    }

    /// Keeps what was found at `path`.
    fn find(&mut self, rule: Rule, path: &[&str], message: String, hint: &str) {
        let owned: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
        let position = (0..=owned.len())
            .rev()
            .find_map(|length| locate(self.text, &owned[..length]).filter(|_| length > 0));
        self.findings.push(Finding {
            file: self.origin.to_owned(),
            position,
            rule,
            key: path.join("."),
            message,
            hint: hint.to_owned(),
        });
    }

    fn schema_line(&mut self) {
        let is_named = |line: &str| {
            line.strip_prefix('#').is_some_and(|comment| {
                comment
                    .trim_start()
                    .strip_prefix("yaml-language-server:")
                    .is_some_and(|setting| setting.trim_start().starts_with("$schema="))
            })
        };
        if self.text.lines().any(is_named) {
            return;
        }
        self.find(
            Rule::SchemaLine,
            &[],
            "the file does not name its schema, so that editors neither complete nor check it".into(),
            "begin it with `# yaml-language-server: $schema=../schemas/scenario.json`; `prefect-e2e schema scenario` prints the schema",
        );
    }

    fn unreadable(&mut self, error: &ScenarioError) {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let mut parts: Vec<String> = causes.map(ToString::to_string).collect();
        let (own, position) = match error {
            ScenarioError::Format {
                message, position, ..
            } => (message.clone(), *position),
            ScenarioError::Values { key, position, .. } => (format!("`{key}` cannot be used"), *position),
            other => (other.to_string(), None),
        };
        parts.insert(0, own);
        self.findings.push(Finding {
            file: self.origin.to_owned(),
            position,
            rule: Rule::Unreadable,
            key: String::new(),
            message: parts.join(": "),
            hint: "`prefect-e2e schema scenario` prints what a scenario may hold, `prefect-e2e values` what its values may"
                .to_owned(),
        });
    }

    /// What is made beforehand must be used.
    fn requirements(&mut self, scenario: &Scenario) {
        let file = &scenario.file;
        if file.requires.external_postgres.is_none() {
            return;
        }
        let names_it = |value: &serde_json::Value| value.to_string().contains("${postgres.");
        let in_values = file.values.values().any(names_it);
        let in_upgrades = file
            .upgrades
            .iter()
            .flat_map(|one| one.values.values())
            .any(names_it);
        let mut contents = file
            .requires
            .secrets
            .iter()
            .flat_map(|secret| secret.data.values());
        if !in_values && !in_upgrades && !contents.any(|content| content.contains("${postgres.")) {
            self.find(
                Rule::UnusedRequirement,
                &["requires", "externalPostgres"],
                "a PostgreSQL is started and nothing names it".into(),
                "let `secret.*` of the values or a Secret of `requires.secrets` hold `${postgres.host}` and the like",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEAD: &str = "# yaml-language-server: $schema=../schemas/scenario.json\ndescription: x\n";
    const SQLITE: &str = "values: {postgresql: {enabled: false}, sqlite: {enabled: true}}\n";

    /// Rules and places, a line each.
    fn found(text: &str) -> String {
        let lines: Vec<String> = lint("case.yaml", text).iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[rstest]
    #[case::no_schema("description: x\n", "case.yaml: schema-line: ")]
    #[case::unknown_key(&format!("{HEAD}valus: {{}}\n"), "case.yaml:3:1: unreadable: ")]
    #[case::unknown_value(&format!("{HEAD}values:\n  server:\n    replicaCont: 2\n"), "case.yaml:5:5: unreadable: ")]
    #[case::no_description(
        "# yaml-language-server: $schema=x\nvalues: {}\n",
        "case.yaml: unreadable: `description` is missing"
    )]
    #[case::proof_without_requirement(&format!("{HEAD}proves:\n  - databaseTls\n"), "case.yaml:3:1: unreadable: ")]
    #[case::template(&format!("{HEAD}values:\n  commonLabels:\n    a: '{{{{ .Nothing.x | nonsense }}}}'\n"), "case.yaml:5:5: unrenderable: ")]
    #[case::old_tag(&format!("{HEAD}values:\n  backgroundServices:\n    runAsSeparateDeployment: true\n"), "case.yaml:5:5: unrenderable: ")]
    #[case::unknown_placeholder(&format!("{HEAD}values:\n  nameOverride: ${{postgres.host}}\n"), "unrenderable: `${postgres.host}` stands for nothing here")]
    #[case::in_an_upgrade(&format!("{HEAD}upgrades:\n  - description: y\n    values:\n      backgroundServices: {{runAsSeparateDeployment: true}}\n"), "case.yaml:6:28: unrenderable: ")]
    #[case::taken(&format!("{HEAD}expect: {{refused: {{because: y}}}}\n"), "case.yaml:3:1: not-refused: the chart takes the values")]
    #[case::refused_otherwise(&format!("{HEAD}expect: {{refused: {{because: zzz}}}}\nvalues: {{valus: 1}}\n"), "not-refused: the chart refuses the values for another reason")]
    #[case::rows(&format!("{HEAD}{SQLITE}proves: [databaseRows]\n"), "case.yaml:4:10: meaningless-proof: ")]
    #[case::services(&format!("{HEAD}proves: [backgroundServices]\n"), "meaningless-proof: ")]
    #[case::auth(&format!("{HEAD}proves: [{{basicAuth: {{authString: 'a:b'}}}}]\n"), "meaningless-proof: ")]
    #[case::other_auth(&format!("{HEAD}values: {{server: {{basicAuth: {{enabled: true, authString: 'a:c'}}}}}}\nproves: [{{basicAuth: {{authString: 'a:b'}}}}]\n"), "meaningless-proof: ")]
    #[case::browser(&format!("{HEAD}values: {{server: {{uiConfig: {{enabled: false}}}}}}\nproves: [browser]\n"), "meaningless-proof: ")]
    #[case::no_persistence(&format!("{HEAD}proves: [{{dataSurvives: {{deleting: [database]}}}}]\n"), "meaningless-proof: ")]
    #[case::no_such_pods(&format!("{HEAD}{SQLITE}proves: [{{dataSurvives: {{deleting: [database]}}}}]\n"), "meaningless-proof: ")]
    #[case::replicas(&format!("{HEAD}{SQLITE}proves: [{{replicas: 2}}]\n"), "meaningless-proof: ")]
    #[case::no_tls(&format!("{HEAD}requires: {{externalPostgres: {{}}}}\nvalues: {{postgresql: {{enabled: false}}, secret: {{name: s, create: false}}}}\nproves: [databaseTls]\n"), "meaningless-proof: ")]
    #[case::unused(&format!("{HEAD}requires:\n  externalPostgres: {{}}\n"), "case.yaml:4:3: unused-requirement: ")]
    #[case::default(&format!("{HEAD}values:\n  server:\n    debug: false\n"), "case.yaml:5:5: default-value: `server.debug`")]
    #[case::unchanged(&format!("{HEAD}upgrades:\n  - description: y\n    values: {{service: {{port: 4200}}}}\n"), "default-value: `service.port`")]
    fn what_is_doubtful_is_found(#[case] text: &str, #[case] expected: &str) {
        let found = found(text);
        assert!(found.contains(expected), "{expected:?} is not in {found:?}");
    }

    #[rstest]
    #[case::bare(HEAD.to_owned())]
    #[case::proofs(format!("{HEAD}{SQLITE}proves: [browser, {{replicas: 1}}, {{dataSurvives: {{deleting: [server]}}}}]\n"))]
    #[case::secrets_in_values(format!("{HEAD}values: {{postgresql: {{auth: {{password: hush-hush}}}}}}\nproves: [databaseRows]\n"))]
    #[case::an_upgrade_back_to_a_default(format!("{HEAD}values: {{service: {{port: 80}}}}\nupgrades: [{{description: y, values: {{service: {{port: 4200}}}}}}]\n"))]
    #[case::refused(format!("{HEAD}expect: {{refused: {{because: runAsSeparateDeployment}}}}\nvalues: {{backgroundServices: {{runAsSeparateDeployment: true}}}}\n"))]
    fn what_is_well_is_let_be(#[case] text: String) {
        assert_eq!(found(&text), "");
    }
}
