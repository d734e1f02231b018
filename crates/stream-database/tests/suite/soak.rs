//! What takes minutes: each has a sibling of a hundredth among the others.

#[cfg(feature = "mysql")]
mod mysql;

#[cfg(feature = "postgres")]
mod postgres;
