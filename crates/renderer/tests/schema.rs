//! The JSON schema before a standard validator.

use jsonschema::Validator;
use prefect_e2e_renderer::{Layers, values_schema, values_yaml};
use rstest::rstest;

fn is_valid(text: &str) -> bool {
    let mut layers = Layers::default();
    layers.file("values.yaml", text).expect("YAML");
    let valid = Validator::new(values_schema())
        .expect("a schema")
        .is_valid(layers.user_values());
    let accepted = layers.values().is_ok();
    assert_eq!(
        valid,
        accepted,
        "schema and renderer agree on {text}: {:?}",
        layers.values().err()
    );
    valid
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::meta::is_valid(values_schema()));
}

#[rstest]
#[case("{}")]
#[case("server: {resources: null, env: [{name: A}], extraArgs: [a, 1]}")]
#[case("service: {port: '80', nodePort: 30000, extraPorts: [{name: a, port: 1, targetPort: http}]}")]
#[case("server: {podSecurityContext: {seccompProfile: {type: Localhost, localhostProfile: /a}}}")]
#[case(
    "backgroundServices: {podSecurityContext: {fsGroupChangePolicy: Always}, containerSecurityContext: {privileged: false}, livenessProbe: {config: {terminationGracePeriodSeconds: 1}}}"
)]
#[case("backgroundServices: {resources: {limits: {cpu: 1}, claims: []}}")]
#[case("global: {imageRegistry: r, postgresql: {auth: {password: x}}}")]
#[case("postgresql: {primary: {terminationGracePeriodSeconds: 5}}")]
fn good_values_are_taken(#[case] text: &str) {
    assert!(is_valid(text));
}

#[rstest]
#[case("serverr: {}")]
#[case("server: {replicas: 1}")]
#[case("server: {replicaCount: '1'}")]
#[case("server: {env: x}")]
#[case("server: {env: [x]}")]
#[case("server: {resources: {limits: {cpu: 1}}}")]
#[case("server: {resources: {limits: {gpu: '1'}}}")]
#[case("server: {podSecurityContext: {fsGroupChangePolicy: Always}}")]
#[case("server: {containerSecurityContext: {privileged: false}}")]
#[case("server: {livenessProbe: {config: {terminationGracePeriodSeconds: 1}}}")]
#[case("server: {podSecurityContext: {seccompProfile: {type: Other}}}")]
#[case("server: {podSecurityContext: {seccompProfile: {type: Localhost}}}")]
#[case("server: {podSecurityContext: {seccompProfile: {localhostProfile: a}}}")]
#[case("service: {extraPorts: [{name: a, port: 1}]}")]
#[case("service: {port: 1.5}")]
#[case("ingress: {tls: maybe}")]
#[case("global: {prefect: {image: {prefectTag: 3.1}}}")]
#[case("global: {prefect: {prefectApiUrl: x}}")]
#[case("postgresql: {primary: {persistence: {size: 5}}}")]
#[case("postgresql: {metrics: {enabled: true}}")]
#[case("[]")]
fn bad_values_are_refused(#[case] text: &str) {
    if text == "[]" {
        assert!(Layers::default().file("values.yaml", text).is_err());
        return;
    }
    assert!(!is_valid(text));
}

#[test]
fn the_documented_defaults_are_valid() {
    assert!(is_valid(&values_yaml()));
}
