//! The `prefect-e2e` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // the program executes itself again as the embedded cluster, as a container, and more
    prefect_e2e_local_cluster::dispatch();
    prefect_e2e::main()
}
