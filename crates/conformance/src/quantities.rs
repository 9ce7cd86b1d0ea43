//! Quantities, which are kept in the one form that Kubernetes writes.

use serde_json::json;

use crate::{
    behaviour::{Behaviour, Outcome, equal},
    objects::{IDLE, claim, over, pod_with},
    place::Place,
};

/// What is sent as a limit of memory, and what is kept.
const FORMS: [(&str, &str, &str); 10] = [
    ("a_thousand_milli_is_one", "1000m", "1"),
    ("a_fraction_is_milli", "0.5", "500m"),
    ("binary_units_grow", "1024Mi", "1Gi"),
    ("binary_units_stay_whole", "1.5Gi", "1536Mi"),
    ("binary_units_are_not_decimal_ones", "1500Ki", "1500Ki"),
    ("decimal_units_grow", "1000k", "1M"),
    ("zeroes_at_the_end_are_dropped", "1.50", "1500m"),
    ("an_exponent_is_kept", "1e3", "1e3"),
    ("nothing_has_no_unit", "0Mi", "0"),
    ("bytes_are_counted", "123456789", "123456789"),
];

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let forms = FORMS.map(|(sentence, sent, kept)| {
        Behaviour::new(module_path!(), sentence, move |at| is_kept(at, sent, kept))
    });
    let mut all = crate::behaviour::behaviours![a_number_is_a_quantity, the_size_of_a_claim_is_a_quantity];
    all.extend(forms);
    all
}

async fn is_kept(at: Place, sent: &str, kept: &str) -> Outcome {
    let object = pod_with("a", IDLE, &json!({"resources": {"requests": {"memory": sent}}}));
    let made = at.would_create("pods", &object).await?;
    let found = made["spec"]["containers"][0]["resources"]["requests"]["memory"].clone();
    equal("the quantity", found, kept)
}

async fn a_number_is_a_quantity(at: Place) -> Outcome {
    let object = pod_with(
        "a",
        IDLE,
        &json!({"resources": {"requests": {"cpu": 2, "memory": 1024}}}),
    );
    let made = at.would_create("pods", &object).await?;
    let found = made["spec"]["containers"][0]["resources"]["requests"].clone();
    equal("the quantities", found, json!({"cpu": "2", "memory": "1024"}))
}

async fn the_size_of_a_claim_is_a_quantity(at: Place) -> Outcome {
    let large = over(
        claim("a"),
        &json!({"spec": {"resources": {"requests": {"storage": "2048Mi"}}}}),
    );
    let made = at.would_create("persistentvolumeclaims", &large).await?;
    equal(
        "the size",
        made["spec"]["resources"]["requests"]["storage"].clone(),
        "2Gi",
    )
}
