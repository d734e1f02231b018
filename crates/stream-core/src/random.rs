//! Random numbers for jitter and ids; not for secrets.

use std::hash::{BuildHasher, RandomState};

/// 64 bits from the keys that the system gave the standard library for its hash maps.
pub(crate) fn random_bits() -> u64 {
    RandomState::new().hash_one(())
}

/// A number in 0..1.
pub(crate) fn random() -> f64 {
    // 53 bits are what a float holds.
    (random_bits() >> 11) as f64 / (1_u64 << 53) as f64
}
