use rstest::rstest;
use serde_json::json;

use super::*;

#[rstest]
#[case(json!({"b": 1, "a": {"c": [1, {"d": "e", "f": []}, [2]]}, "g": {}}), "a:\n  c:\n  - 1\n  - d: e\n    f: []\n  - - 2\nb: 1\ng: {}")]
#[case(json!({"a": "{{ .Release.Name }}", "p": "p{{ .Values.x }}"}), "a: '{{ .Release.Name }}'\np: p{{ .Values.x }}")]
#[case(json!({"a": "line1\nline2\n", "b": "x\ny"}), "a: |\n  line1\n  line2\nb: |-\n  x\n  y")]
#[case(json!({"a": "1", "b": "true", "c": "0x1f", "d": "1e3", "e": "~", "f": "on", "g": ""}), "a: \"1\"\nb: \"true\"\nc: \"0x1f\"\nd: \"1e3\"\ne: \"~\"\nf: \"on\"\ng: \"\"")]
#[case(json!({"a10": 1, "a9": 2}), "a9: 2\na10: 1")]
#[case(json!({"5a": 1, "54": 2, "5-": 3, "a100": 4, "a1": 5, "a01": 6}), "5-: 3\n\"54\": 2\n5a: 1\na1: 5\na01: 6\na100: 4")]
#[case(json!({"a": ".5", "b": "._9", "c": "1_0"}), "a: \".5\"\nb: ._9\nc: \"1_0\"")]
#[case(json!("x"), "x")]
#[case(json!({}), "{}")]
#[case(json!({"a": "it's: so", "b": "tab\there", "c": " lead"}), "a: 'it''s: so'\nb: \"tab\\there\"\nc: ' lead'")]
#[case(json!({"t": "2026-01-01", "h": "1:30", "s": "- a", "n": null}), "h: \"1:30\"\n\"n\": null\ns: '- a'\nt: \"2026-01-01\"")]
fn values_are_written_as_helm_writes_them(#[case] value: Value, #[case] expected: &str) {
    assert_eq!(to_yaml(&value), expected);
}

/// Each text, and what `toYaml` of helm 3.18.6 makes of it as a value and as a key.
#[test]
fn texts_are_written_as_helm_writes_them() {
    let rows: Vec<[String; 3]> = serde_json::from_str(include_str!("scalars.json")).unwrap();
    let wrong: Vec<String> = rows
        .iter()
        .flat_map(|[text, value, key]| {
            [
                (to_yaml(&json!({"k": text})), value),
                (to_yaml(&json!({text: 1})), key),
            ]
        })
        .filter(|(written, expected)| written != *expected)
        .map(|(written, expected)| format!("{written:?} instead of {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `A77` stands for 77 letters; what is expected is what `toYaml` of helm 3.18.6 prints.
fn spelt(short: &str) -> String {
    let letters = regex::Regex::new(r"A(\d+)").unwrap();
    let letters = letters.replace_all(short, |found: &regex::Captures<'_>| {
        "a".repeat(found[1].parse().unwrap())
    });
    letters.into_owned()
}

#[rstest]
#[case::plain_of_the_width("A77 b", "k: A77 b")]
#[case::plain_beyond("A78 b", "k: A78\n  b")]
#[case::plain_at_two_blanks("A78  b", "k: A78  b")]
#[case::plain_of_the_width_again("A78 A78 b", "k: A78\n  A78 b")]
#[case::plain_beyond_again("A78 A79 b", "k: A78\n  A79\n  b")]
#[case::plain_after_a_blank("A75 b aa b", "k: A75 b aa\n  b")]
#[case::letters_not_bytes("éA76 b", "k: éA76 b")]
#[case::letters_beyond("éA77 b", "k: éA77\n  b")]
#[case::single_of_the_width("'A74 b", "k: '''A74 b'")]
#[case::single_beyond("'A75 b", "k: '''A75\n  b'")]
#[case::single_at_its_end("'A75 ", "k: '''A75 '")]
#[case::single_at_two_blanks("'A75  b", "k: '''A75  b'")]
#[case::quotes_count_as_written("'A75 A74'' b", "k: '''A75\n  A74'''' b'")]
#[case::quotes_beyond("'A75 A75'' b", "k: '''A75\n  A75''''\n  b'")]
#[case::at_its_begin(" A80", "k: ' A80'")]
#[case::double_of_the_width("\tA74 b", "k: \"\\tA74 b\"")]
#[case::double_beyond("\tA75 b", "k: \"\\tA75\n  b\"")]
#[case::double_at_two_blanks("\tA75  b", "k: \"\\tA75\n  \\ b\"")]
#[case::double_at_its_end("\tA75 ", "k: \"\\tA75 \"")]
#[case::double_of_the_width_again("\tA75 A78 b", "k: \"\\tA75\n  A78 b\"")]
#[case::double_beyond_again("\tA75 A79 b", "k: \"\\tA75\n  A79\n  b\"")]
#[case::two_blanks_of_the_width("\tA75  A76 b", "k: \"\\tA75\n  \\ A76 b\"")]
#[case::two_blanks_beyond("\tA75  A77 b", "k: \"\\tA75\n  \\ A77\n  b\"")]
#[case::double_at_its_begin(" \tA80", "k: \" \\tA80\"")]
#[case::lines_are_not_folded("a\nA78 b c", "k: |-\n  a\n  A78 b c")]
fn long_texts_are_folded_as_helm_folds_them(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(to_yaml(&json!({"k": spelt(text)})), spelt(expected));
}

#[rstest]
#[case("A78 b", "A78 b: 1")]
#[case("'A75 b", "'''A75 b': 1")]
#[case("\tA75 b", "\"\\tA75 b\": 1")]
fn keys_are_not_folded(#[case] key: &str, #[case] expected: &str) {
    assert_eq!(to_yaml(&json!({spelt(key): 1})), spelt(expected));
}

#[test]
fn long_lines_are_folded_at_blanks() {
    let words =
        "aaaa bbbbbbbbbbbbbbbb cccccccccccccccccccc ddddddddddddddddddddd eeeeeeeeeeeeeeeeee ffffffffff";
    let expected = "long: aaaa bbbbbbbbbbbbbbbb cccccccccccccccccccc ddddddddddddddddddddd eeeeeeeeeeeeeeeeee\n  ffffffffff";
    assert_eq!(to_yaml(&json!({"long": words})), expected);
}
