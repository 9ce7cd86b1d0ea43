//! The scenario format of prefect-e2e: types, loading, validation, selection.
