//! Starts an external PostgreSQL and holds it until standard input ends:
//! `cargo run -p prefect-e2e-external-postgres --example external_postgres -- [tls]`.

use std::io::Read as _;

use prefect_e2e_external_postgres::{ExternalPostgres, Options, Tls};
use prefect_e2e_images::ImageStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tls = std::env::args().nth(1).filter(|argument| argument == "tls");
    let tls = tls.map(|_| Tls {
        required: true,
        ..Tls::default()
    });
    let options = Options {
        tls,
        ..Options::new("prefect", "prefect", "server", ImageStore::open(None)?)
    };
    let postgres = ExternalPostgres::start(options).await?;
    println!(
        "{} at {}: user, password prefect, database server",
        postgres.about(),
        postgres.address()
    );
    if let Some(ca_pem) = postgres.ca_pem() {
        println!("{ca_pem}");
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    postgres.stop().await?;
    Ok(())
}
