//! The exit codes of `prefect-e2e`.

/// All scenarios passed, or the command did what it was asked to.
pub const PASSED: u8 = 0;
/// A scenario failed; for `diff`, there are differences; for `coverage`, less than asked for.
pub const FAILED: u8 = 1;
/// Bad usage, bad input, or a machine that lacks what is needed: nothing was proven either way.
pub const UNUSABLE: u8 = 2;
/// Broken off by Ctrl-C or SIGTERM; what was created is removed.
pub const INTERRUPTED: u8 = 130;
