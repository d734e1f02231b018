//! Random bytes and passwords from the system.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, Result};

/// That many random bytes.
pub(crate) fn bytes(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut source = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    source.read_exact(&mut bytes).context("cannot read /dev/urandom")?;
    Ok(bytes)
}

/// A password that needs no quoting in addresses, shells and settings.
pub(crate) fn password() -> Result<String> {
    Ok(bytes(12)?.iter().map(|byte| format!("{byte:02x}")).collect())
}
