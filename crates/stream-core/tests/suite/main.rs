//! What the crate promises to those outside it.

mod envelope;
