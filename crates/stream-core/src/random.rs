//! Random numbers for jitter and ids; not for secrets.

use std::hash::{BuildHasher, RandomState};

/// From the keys of the standard library's hash maps.
pub(crate) fn random_bits() -> u64 {
    RandomState::new().hash_one(())
}

/// In 0..1.
pub(crate) fn random() -> f64 {
    // A float holds 53 bits.
    (random_bits() >> 11) as f64 / (1_u64 << 53) as f64
}
