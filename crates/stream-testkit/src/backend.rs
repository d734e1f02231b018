//! How the suite reaches the store under test.

use std::{env, fmt, sync::Arc};

use stream_core::{Driver, QueueName, Result, async_trait};

use crate::Skip;

/// The store under test, as its driver's tests reach it.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Opens another connection to the same store, as another process would.
    async fn connect(&self) -> Result<Arc<dyn Driver>>;

    /// Puts bytes into a queue as a producer of another version would: ready, with the default
    /// priority, whether they are an envelope or not.
    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()>;
}

/// The address of a service from the environment.
///
/// # Errors
/// A [`Skip`] that says which variable to set.
pub fn service_url(variable: &str) -> Result<String, Skip> {
    match env::var(variable) {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => Err(Skip::because(format!("set {variable}, or run `cargo xtask test-drivers`"))),
    }
}
