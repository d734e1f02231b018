//! The programs stand beside this package's manifest; this library runs the code of the README as a test.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
