//! Makes an image and prints what it is: `cargo run -p prefect-e2e-images --example pull -- busybox`.

use prefect_e2e_images::{ImageError, ImageStore};

#[tokio::main]
async fn main() -> Result<(), ImageError> {
    let reference = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "prefecthq/prefect:3-latest".into());
    let store = ImageStore::open(None)?;
    let image = store.pull(&reference, |step| eprintln!("{step:?}")).await?;
    println!("{image:#?}");
    Ok(())
}
