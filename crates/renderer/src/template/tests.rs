use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Context, Fault, evaluate};

/// Templates that helm takes too; `against_helm` compares the results.
pub(crate) const EXPRESSIONS: &[&str] = &[
    "{{ .Release.Name }}-{{ .Release.Namespace }}",
    "{{ .Release.Service }} {{ .Release.Revision }} {{ .Release.IsInstall }} {{ .Release.IsUpgrade }}",
    "{{ .Chart.Name }} {{ .Chart.Version }} {{ .Chart.AppVersion }}",
    "{{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion.Minor }}",
    "p{{ .Values.port }} {{ .Values.port | quote }} {{ .Values.big }} {{ .Values.big | int }} {{ .Values.ratio }}",
    "{{ .Values.list }} {{ .Values.map }} {{ .Values.flag }} {{ .Values.empty }}",
    "{{ .Values.nope | default \"d\" }} {{ default \"d\" .Values.text }} {{ empty .Values.nope }} {{ coalesce .Values.nope \"\" \"c\" }}",
    "a {{- /* comment */ -}} b {{- \" c \" -}} d {{ \"e\" -}}   \n f",
    "{{ if .Values.flag }}yes{{ else }}no{{ end }} {{ if .Values.nope }}a{{ else if .Values.text }}b{{ else }}c{{ end }}",
    "{{ with .Values.map }}{{ .a }}{{ else }}none{{ end }} {{ with .Values.nope }}{{ .a }}{{ else }}none{{ end }} {{ with $x := .Values.text }}{{ $x }}{{ end }}",
    "{{ range .Values.list }}[{{ . }}]{{ end }} {{ range $i, $x := .Values.list }}{{ $i }}={{ $x }} {{ end }} {{ range $k, $v := .Values.map }}{{ $k }}={{ $v }} {{ end }}",
    "{{ range .Values.nope }}a{{ else }}none{{ end }} {{ range $i, $x := .Values.list }}{{ if eq $x \"b\" }}{{ continue }}{{ end }}{{ if eq $i 2 }}{{ break }}{{ end }}{{ $x }}{{ end }}",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ end }}{{ $x }} {{ $.Release.Name }}",
    "{{ define \"mine\" }}<{{ .a }}>{{ end }}{{ template \"mine\" .Values.map }} {{ include \"mine\" (dict \"a\" 5) | upper }}",
    "{{ block \"b\" .Values.map }}({{ .a }}){{ end }}",
    "{{ and true 0 }} {{ and 1 2 }} {{ or 0 \"\" \"x\" }} {{ or 0 false }} {{ not 1 }} {{ not \"\" }}",
    "{{ eq 1 1 }} {{ eq \"a\" \"b\" \"a\" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le \"a\" \"a\" }} {{ gt 1.5 1.0 }} {{ ge 2 3 }}",
    "{{ printf \"%s-%d-%v-%q\" \"a\" 1 .Values.list \"q\\\"\" }} {{ printf \"%5d|%-5s|%05.1f|%+d|%x|%X|%o|%c|%U\" 7 \"b\" 1.25 3 255 255 8 65 65 }}",
    "{{ printf \"%d\" .Values.port }} {{ printf \"%s\" 5 }} {{ printf \"%d\" }} {{ printf \"a\" 1 }} {{ printf \"%t %%\" true }} {{ printf \"%.2f %e %g\" 1.0 12345.678 0.5 }} {{ printf \"%T %v\" 1 nil }}",
    "{{ print \"a\" 1 2 \"b\" 3 }} {{ print 1 2 }} {{ println \"a\" 1 }}",
    "{{ quote 1 nil \"a\\tb\" }} {{ squote 1 \"x\" }} {{ \"é☕\" | quote }}",
    "{{ upper \"aß\" }} {{ lower \"ABC\" }} {{ title \"hello world-x\" }} {{ untitle \"Hello World\" }} {{ nospace \" a b \" }} {{ trim \" a \" }} {{ trimAll \"$\" \"$5$\" }} {{ trimSuffix \"-\" \"a--\" }} {{ trimPrefix \"-\" \"--a\" }}",
    "{{ trunc 3 \"abcdef\" }} {{ trunc -3 \"abcdef\" }} {{ trunc 9 \"abc\" }} {{ substr 1 3 \"abcdef\" }} {{ substr -1 3 \"abcdef\" }} {{ substr 2 -1 \"abcdef\" }} {{ abbrev 5 \"abcdefgh\" }}",
    "{{ repeat 3 \"ab\" }} {{ contains \"b\" \"abc\" }} {{ hasPrefix \"a\" \"abc\" }} {{ hasSuffix \"c\" \"abc\" }} {{ replace \"a\" \"x\" \"banana\" }} {{ cat \"a\" 1 \"b\" }}",
    "{{ indent 2 \"a\\nb\" }}|{{ nindent 2 \"a\\nb\" }}|{{ toYaml .Values.map | nindent 4 }}",
    "{{ join \",\" .Values.list }} {{ join \"-\" (list 1 2) }} {{ splitList \",\" \"a,b,c\" }} {{ (split \"-\" \"a-b\")._1 }} {{ sortAlpha (list \"b\" \"a\") }} {{ toStrings (list 1 2) }}",
    "{{ b64enc \"hello\" }} {{ b64dec \"aGVsbG8=\" }} {{ sha256sum \"a\" }}",
    "{{ toJson .Values.map }} {{ toJson \"<&>\" }} {{ toYaml .Values.list }} {{ (fromYaml \"a: 1\").a }} {{ (fromJson `{\"a\": \"b\"}`).a }}",
    "{{ int \"12\" }} {{ int 3.9 }} {{ int64 \"x\" }} {{ float64 \"1.5\" }} {{ atoi \"42\" }} {{ toString 1.0 }} {{ int \"0x10\" }}",
    "{{ add 1 2 3 }} {{ add1 1 }} {{ sub 5 2 }} {{ mul 2 3 4 }} {{ div 7 2 }} {{ mod 7 2 }} {{ max 1 5 3 }} {{ min 4 2 }} {{ ceil 1.2 }} {{ floor 1.8 }} {{ round 1.256 2 }} {{ .Values.port | add 1 }}",
    "{{ len \"abc\" }} {{ len .Values.list }} {{ len .Values.map }} {{ index .Values.list 1 }} {{ index .Values.map \"a\" }} {{ index .Values.deep \"x\" \"y\" }}",
    "{{ first .Values.list }} {{ last .Values.list }} {{ rest .Values.list }} {{ initial .Values.list }} {{ append .Values.list \"z\" }} {{ prepend .Values.list \"z\" }} {{ concat (list 1) (list 2) }} {{ reverse .Values.list }}",
    "{{ uniq (list 1 2 1) }} {{ without (list 1 2 3) 2 }} {{ has \"a\" .Values.list }} {{ compact (list 0 1 \"\" 2) }} {{ until 3 }} {{ untilStep 1 7 2 }} {{ slice (list 1 2 3) 1 }}",
    "{{ dict \"a\" 1 \"b\" 2 }} {{ get (dict \"a\" 1) \"a\" }} {{ hasKey (dict \"a\" 1) \"b\" }} {{ keys (dict \"a\" 1) }} {{ values (dict \"a\" 1) }} {{ pick (dict \"a\" 1 \"b\" 2) \"a\" }} {{ omit (dict \"a\" 1 \"b\" 2) \"a\" }} {{ pluck \"a\" (dict \"a\" 1) (dict \"b\" 1) }}",
    "{{ merge (dict \"a\" 1) (dict \"a\" 2 \"b\" 3) }} {{ mergeOverwrite (dict \"a\" 1) (dict \"a\" 2 \"b\" 3) }} {{ dig \"x\" \"y\" \"d\" .Values.deep }} {{ dig \"x\" \"z\" \"d\" .Values.deep }}",
    "{{ ternary \"a\" \"b\" true }} {{ .Values.flag | ternary \"a\" \"b\" }} {{ required \"m\" .Values.text }} {{ kindOf 1 }} {{ kindOf .Values.port }} {{ kindIs \"map\" .Values.map }} {{ typeOf \"a\" }} {{ typeIs \"string\" \"a\" }}",
    "{{ regexMatch \"^a.c$\" \"abc\" }} {{ regexFind \"b+\" \"abbc\" }} {{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\" }} {{ regexReplaceAllLiteral \"a(x*)b\" \"-ab-\" \"${1}\" }}",
    "{{ tpl \"{{ .Release.Name }}\" . }} {{ tpl .Values.template . }}",
    "{{ (index .Values.list 0) | upper }} {{ (.Values.map).a }} {{ ((.Values).text) }} {{ -5 }} {{ 0x1F }} {{ 1.5e3 }} {{ 'a' }} {{ `raw\\n` }} {{ \"\\u00e9\\x41\\n\" }} {{ 1_000 }} {{ 010 }}",
    "{{ all 1 \"\" }} {{ any 0 \"x\" }} {{ eq .Values.nope nil }} {{ list 1 \"a\" nil }}",
    "{{ .Values.float }} {{ .Values.float | toJson }} {{ .Values.big | toJson }} {{ .Values.big | toYaml }} {{ add .Values.big 1 }}",
    "{{ eq .Values.text nil }} {{ ne nil .Values.text }} {{ 1e+2 }} {{ 25e-1 }} {{ 1E3 }} {{ quote \"a\\u00a0b\\u0085\" }}",
    "{{ printf \"%x %X %o %b %d\" -255 -255 -8 -5 -3 }}",
    "no actions }} here",
];

pub(crate) fn values() -> Value {
    json!({
        "port": 4200,
        "big": 1_001_650_000,
        "ratio": 0.5,
        "float": 1_234_567.5,
        "text": "hello",
        "flag": true,
        "empty": "",
        "list": ["a", "b", "c"],
        "map": {"b": 2, "a": "one"},
        "deep": {"x": {"y": "z"}},
        "template": "<{{ .Values.text }}>",
    })
}

pub(crate) fn context() -> Value {
    json!({
        "Values": values(),
        "Release": {
            "Name": "team-a", "Namespace": "data", "Service": "Helm", "Revision": 1, "IsInstall": true, "IsUpgrade": false,
        },
        "Chart": {"Name": "prefect-server", "Version": "0.0.0", "AppVersion": "3-latest"},
        "Capabilities": {"KubeVersion": {"Version": "v1.34.0", "GitVersion": "v1.34.0", "Major": "1", "Minor": "34"}},
    })
}

fn evaluated(source: &str) -> Result<String, Fault> {
    evaluate(source, &Context::new(&context()))
}

#[test]
fn expressions_are_evaluated() {
    let results: Vec<String> = EXPRESSIONS
        .iter()
        .map(|source| {
            format!(
                "{source}\n=> {:?}",
                evaluated(source).map_err(|fault| fault.problem)
            )
        })
        .collect();
    insta::assert_snapshot!(results.join("\n"));
}

#[rstest]
#[case("{{ include \"common.names.fullname\" . }}", "team-a-prefect-server")]
#[case("{{ include \"common.names.name\" . }}", "prefect-server")]
#[case("{{ include \"common.names.chart\" . }}", "prefect-server-0.0.0")]
#[case("{{ include \"common.names.namespace\" . }}", "data")]
#[case(
    "{{ include \"common.names.fullname.namespace\" . }}",
    "team-a-prefect-server-data"
)]
#[case("{{ include \"common.capabilities.kubeVersion\" . }}", "v1.34.0")]
#[case(
    "{{ include \"common.names.fullname\" (dict \"Values\" (dict \"fullnameOverride\" \"x\") \"Chart\" .Chart \"Release\" .Release) }}",
    "x"
)]
#[case(
    "{{ include \"common.tplvalues.render\" (dict \"value\" .Values.template \"context\" $) }}",
    "<hello>"
)]
#[case(
    "{{ include \"common.tplvalues.render\" (dict \"value\" .Values.map \"context\" $) }}",
    "a: one\nb: 2"
)]
#[case(
    "{{ include \"common.labels.matchLabels\" . }}",
    "app.kubernetes.io/name: prefect-server\napp.kubernetes.io/instance: team-a"
)]
#[case("{{ include \"server.serviceAccountName\" . }}", "default")]
#[case("{{ include \"backgroundServices.serviceAccountName\" . }}", "default")]
#[case(
    "{{ include \"server.postgres-string-secret-name\" . }}",
    "team-a-prefect-server-postgresql-connection"
)]
fn the_charts_templates_are_known(#[case] source: &str, #[case] expected: &str) {
    assert_eq!(evaluated(source).as_deref(), Ok(expected));
}

#[rstest]
#[case("a {{ foo }}", 5, "unknown function `foo`; did you mean `floor`?")]
#[case("{{ quoet 1 }}", 3, "unknown function `quoet`; did you mean `quote`?")]
#[case(
    "{{ .Foo }}",
    3,
    "unknown field `Foo`; known are Capabilities, Chart, Release, Values"
)]
#[case("{{ .Release.Nmae }}", 3, "unknown field `Nmae`; did you mean `Name`?")]
#[case("{{ .Values.nope.deep }}", 3, "unknown field `nope`; known are big, deep")]
#[case("{{ .Values.text.x }}", 3, "a string has no field `x`")]
#[case(
    "{{ include \"common.names.fulname\" . }}",
    3,
    "unknown template `common.names.fulname`; did you mean `common.names.fullname`?"
)]
#[case("{{ $x }}", 3, "unknown variable `$x`; known are $")]
#[case("{{ if true }}", 0, "`if` without `end`")]
#[case("{{ end }}", 0, "`end` without a block to end")]
#[case("{{ else }}", 0, "`else` without a block to divide")]
#[case("{{ if 1 }}{{ else }}{{ else }}{{ end }}", 20, "a second `else`")]
#[case("{{ break }}", 0, "`break` outside of `range`")]
#[case("{{ .a", 0, "`{{` without `}}`")]
#[case("{{ \"a }}", 3, "a text without its closing quote")]
#[case("{{ `a }}", 3, "a text without its closing backquote")]
#[case(
    "{{ 'ab' }}",
    3,
    "a character without its closing quote; texts stand in double quotes"
)]
#[case("{{ \"\\q\" }}", 4, "an unknown escape")]
#[case("{{ 1x }}", 3, "`1x` is no number")]
#[case("{{ (1 }}", 3, "`(` without `)`")]
#[case("{{ 1) }}", 4, "expected `}}`")]
#[case("{{ }}", 3, "an action is missing a value")]
#[case("{{ 1 | 2 }}", 7, "only functions can follow `|`")]
#[case("{{ 1 2 }}", 3, "only functions take arguments")]
#[case("{{ nil }}", 3, "nil is no command")]
#[case("{{ /* a }}", 0, "a comment without `*/`")]
#[case("{{ range 5.5 }}{{ end }}", 9, "`range` cannot go over a float64")]
#[case("{{ upper 5 }}", 3, "argument 1 of `upper` is int, allowed is a string")]
#[case(
    "{{ trunc .Values.port \"a\" }}",
    3,
    "argument 1 of `trunc` is float64, allowed is an int; `int` makes one"
)]
#[case("{{ eq 1 1.0 }}", 3, "a int and a float64 cannot be compared")]
#[case("{{ fail \"no\" }}", 3, "no")]
#[case("{{ required \"give it\" .Values.nope }}", 3, "give it")]
#[case("{{ div 1 0 }}", 3, "`div` by zero")]
#[case("{{ index .Values.list 9 }}", 3, "a list of 3 has no item 9")]
#[case("{{ tpl \"{{ foo }}\" . }}", 3, "in `{{ foo }}`: unknown function `foo`")]
#[case(
    "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}",
    47,
    "in `r`: templates call each other too deeply"
)]
#[case(
    "{{ repeat 1000000000 \"a\" }}",
    3,
    "the template does too much; it was stopped"
)]
#[case("{{ until 1000000000 }}", 3, "the template does too much; it was stopped")]
#[case(
    "{{ range until 1000 }}{{ range until 1000 }}a{{ end }}{{ end }}",
    31,
    "the template does too much; it was stopped"
)]
#[case("{{ printf \"%9999d\" 1 }}", 3, "a width of 9999 is too much")]
#[case(
    "{{ regexMatch \"(\" \"a\" }}",
    3,
    "argument 1 of `regexMatch` is no regular expression"
)]
fn faults_are_placed_and_explained(#[case] source: &str, #[case] at: usize, #[case] problem: &str) {
    let fault = evaluated(source).expect_err("a fault");
    assert!(fault.problem.starts_with(problem), "{}", fault.problem);
    assert_eq!(fault.at, at, "{}", fault.problem);
}

#[test]
fn deep_nesting_is_a_fault() {
    for source in [
        "{{ if 1 }}".repeat(5000),
        format!("{{{{ {} }}}}", "(".repeat(5000)),
    ] {
        assert_eq!(
            evaluated(&source).expect_err("a fault").problem,
            "the template is nested too deeply"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_evaluated_or_refused(source in "\\PC{0,60}") {
        let _ = evaluated(&source);
    }

    #[test]
    fn any_expression_is_evaluated_or_refused(pieces in proptest::collection::vec(
        prop::sample::select(&[
            "{{", "}}", "{{-", "-}}", " ", "if", "else", "end", "range", "with", "define", "template", "block", "break",
            "\"x\"", "`y`", "'z'", ".", ".Values", ".Release.Name", "$", "$v", ":=", "=", "|", "(", ")", ",", "1", "-2", "3.5",
            "printf", "repeat", "until", "include", "tpl", "default", "dict", "list", "index", "toYaml", "merge", "substr",
            "trunc", "replace", "\"%*d\"", "\"{{ . }}\"", "/*", "*/", "nil", "true", "é", "\n",
        ][..]), 0..40)) {
        let _ = evaluated(&pieces.concat());
        let _ = evaluated(&pieces.join(" "));
    }
}

/// Expressions, and what helm 3.18.6 makes of them: nothing where it refuses them.
#[test]
fn expressions_are_evaluated_as_helm_evaluates_them() {
    let rows: Vec<(String, Option<String>)> = serde_json::from_str(include_str!("expressions.json")).unwrap();
    let wrong: Vec<String> = rows
        .iter()
        .map(|(source, expected)| (source, evaluated(source), expected))
        .filter(|(_, found, expected)| found.as_ref().ok() != expected.as_ref())
        .map(|(source, found, expected)| format!("{source}: {found:?} instead of {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What helm evaluates and this crate does not is refused, never evaluated to something else.
#[rstest]
#[case("{{ printf \"%x\" 1.5 }}")]
#[case("{{ printf \"%b\" 1.5 }}")]
#[case("{{ printf \"%p\" .Values.list }}")]
#[case("{{ printf \"%#v\" (list 1) }}")]
#[case("{{ printf \"%#g\" 1.0 }}")]
#[case("{{ printf \"%#.0f\" 1.0 }}")]
#[case("{{ printf \"%[2]d %[1]d\" 1 2 }}")]
#[case("{{ 1i }}")]
#[case("{{ 0x1p4 }}")]
#[case("{{ \"\\xff\" }}")]
#[case("{{ html \"<a>\" }}")]
fn what_is_not_evaluated_is_refused(#[case] source: &str) {
    evaluated(source).expect_err("a refusal");
}
