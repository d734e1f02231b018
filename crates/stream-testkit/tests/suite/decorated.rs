//! Decorators that do not strike change nothing: what they wrap passes the suite through them.

use std::sync::Arc;

use stream_core::{Driver, QueueName, Result};
use stream_testkit::{
    Backend, Skip, async_trait,
    faulty::{Faults, Faulty},
    recording::Recording,
};

use crate::toy::{ToyStore, toy_store};

/// The toy behind every decorator of the testkit, one around the other.
#[derive(Debug)]
struct Decorated(ToyStore);

#[async_trait]
impl Backend for Decorated {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        let recording = Arc::new(Recording::new(self.0.connect().await?));
        let driver: Arc<dyn Driver> = Arc::new(Faulty::new(recording, Faults::new(0)));
        #[cfg(unix)]
        let driver = {
            use stream_testkit::crash::{KillPoint, Killing};
            Arc::new(Killing::new(driver, KillPoint::AfterSettle, u32::MAX))
        };
        Ok(driver)
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        self.0.inject(queue, bytes).await
    }
}

async fn decorated_toy() -> Result<Decorated, Skip> {
    toy_store().await.map(Decorated)
}

mod conformance {
    stream_testkit::conformance!(super::decorated_toy);
}
