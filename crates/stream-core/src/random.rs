//! A random number for jitter; not for secrets.

use std::hash::{BuildHasher, RandomState};

/// A number in 0..1, from the keys that the standard library draws for its hash maps.
pub(crate) fn random() -> f64 {
    // 53 bits are what a float holds.
    (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}
