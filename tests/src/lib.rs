//! End-to-end tests of prefect-e2e.
