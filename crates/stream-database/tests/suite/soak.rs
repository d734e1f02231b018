//! What takes long: run with `--tier soak`. Each has a sibling of a hundredth among the other tests.

#[cfg(feature = "mysql")]
mod mysql;
