//! How long rendering takes in process. The aim is 300 µs for the defaults and 1 ms for the largest
//! values.

use divan::{Bencher, black_box};
use prefect_e2e_renderer::{Layers, Release, Values, render, to_yaml};

/// Values with most settings in use, and expressions in many of them.
const LARGE: &str = include_str!("large.yaml");

const SQLITE: &str = "postgresql: {enabled: false}\nsqlite: {enabled: true}\n";

fn main() {
    divan::main();
}

fn values(text: &str) -> Values {
    let mut layers = Layers::default();
    layers.file("values.yaml", text).expect("YAML");
    layers.values().expect("values")
}

#[divan::bench(args = [("default", ""), ("sqlite", SQLITE), ("large", LARGE)])]
fn objects(bencher: Bencher<'_, '_>, (_, text): (&str, &str)) {
    let (release, values) = (Release::new("prefect-server", "prefect"), values(text));
    bencher.bench(|| render(black_box(&release), black_box(&values)));
}

#[divan::bench(args = [("default", ""), ("sqlite", SQLITE), ("large", LARGE)])]
fn layers(bencher: Bencher<'_, '_>, (_, text): (&str, &str)) {
    bencher.bench(|| values(black_box(text)));
}

#[divan::bench(args = [("default", ""), ("sqlite", SQLITE), ("large", LARGE)])]
fn stream(bencher: Bencher<'_, '_>, (_, text): (&str, &str)) {
    let objects = render(&Release::new("prefect-server", "prefect"), &values(text)).expect("objects");
    bencher.bench(|| to_yaml(black_box(&objects)));
}
