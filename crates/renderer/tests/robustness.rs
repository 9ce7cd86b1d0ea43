//! Arbitrary input: no panic, no hang. `PROPTEST_CASES` asks for more cases.

use prefect_e2e_renderer::{Layers, Release, from_yaml, patch::Patches, render, to_yaml};
use proptest::{collection::vec, prelude::*, sample::select};

fn settings() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(300);
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Takes a text as values and does with it what the program would do.
fn use_as_values(text: &str) {
    let mut layers = Layers::default();
    if let Err(error) = layers.file("values.yaml", text) {
        assert!(!error.to_string().is_empty());
        return;
    }
    match layers.values() {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(values) => {
            if let Ok(objects) = render(&Release::new("r", "n"), &values) {
                let read = from_yaml(&to_yaml(&objects)).expect("a stream that can be read");
                assert_eq!(read, objects, "{text}");
            }
        }
    }
}

const KEYS: &[&str] = &[
    "server",
    "replicaCount",
    "env",
    "podLabels",
    "resources",
    "requests",
    "postgresql",
    "primary",
    "auth",
    "image",
    "tag",
    "sqlite",
    "enabled",
    "service",
    "port",
    "global",
    "prefect",
    "commonLabels",
    "extraPorts",
    "ingress",
    "extraHosts",
    "nope",
    "backgroundServices",
    "podSecurityContext",
    "seccompProfile",
    "type",
    "initdb",
    "scripts",
    "configuration",
    "metrics",
];

const SCALARS: &[&str] = &[
    "null",
    "true",
    "1",
    "-1",
    "1e400",
    ".inf",
    "''",
    "x",
    "y",
    "0123",
    "1_000",
    "'{{ .Release.Name }}'",
    "'{{ toYaml .Values | nindent 2 }}'",
    "'{{ .Values.server.podLabels }}'",
    "\"{{ range .Values.list }}\"",
    "|\n    a\n     b\n",
    "&a x",
    "*a",
    "[]",
    "{}",
    "[1, [2]]",
    "\"\\u0085\"",
    "9223372036854775808",
    "2026-01-01",
];

fn documents() -> impl Strategy<Value = String> {
    let scalar = select(SCALARS).prop_map(str::to_owned);
    let node = scalar.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            vec((select(KEYS), inner.clone()), 0..4).prop_map(|entries| {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }),
            vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    });
    vec((select(KEYS), node), 0..5).prop_map(|entries| {
        let lines: Vec<String> = entries
            .iter()
            .map(|(key, value)| format!("{key}: {value}\n"))
            .collect();
        lines.concat()
    })
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn any_bytes_are_values_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        use_as_values(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_document_is_values_or_refused(text in documents()) {
        use_as_values(&text);
    }

    #[test]
    fn any_template_in_a_value_is_evaluated_or_refused(text in "(\\{\\{|\\}\\}|[ -~]|\\n){0,40}") {
        let mut layers = Layers::default();
        let value = serde_json::json!({
            "server": {"podAnnotations": {"a": text, "b": [text]}, "extraEnvVarsCM": text, "env": [{"name": text, "value": text}]},
            "postgresql": {"primary": {"configuration": text, "podLabels": {"c": text}}},
        });
        layers.value("a test", value).expect("a map");
        if let Ok(values) = layers.values() {
            let _ = render(&Release::new("r", "n"), &values);
        }
    }

    #[test]
    fn any_expression_is_set_or_refused(text in "[a-z0-9.,=\\[\\]{}\\\\\" ]{0,40}") {
        let mut layers = Layers::default();
        let _ = layers.set(&text);
        let _ = layers.set_string(&text);
        let _ = layers.set_json(&text);
        let _ = layers.set_file(&text, "content");
        let _ = layers.values();
    }

    #[test]
    fn any_patch_is_applied_or_refused(text in documents()) {
        let mut patches = Patches::default();
        let _ = patches.add("patch.yaml", &text);
    }
}

#[test]
fn deep_nesting_is_taken_or_refused() {
    for depth in [100, 1000, 100_000] {
        use_as_values(&format!(
            "server: {{podLabels: {}{}}}",
            "{a: ".repeat(depth),
            "}".repeat(depth)
        ));
        use_as_values(&format!(
            "server: {{args: {}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        ));
    }
}

#[test]
fn aliases_do_not_multiply_without_end() {
    let mut text = String::from("server:\n  podAnnotations:\n    a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("    a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(Layers::default().file("bomb.yaml", &text).is_err());
}

#[test]
fn many_keys_are_sorted_without_a_panic() {
    let labels: Vec<String> = (0..3000)
        .map(|n| format!("\"{}{}{}\": '{{{{ 1 }}}}'", n % 7, "0".repeat(n % 5), n))
        .collect();
    use_as_values(&format!("server: {{podLabels: {{{}}}}}", labels.join(", ")));
}
