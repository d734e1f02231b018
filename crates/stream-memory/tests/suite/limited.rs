//! The memory driver behind limits like those of other stores: the suite's second half, in this process.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use stream_core::{Driver, QueueName, Result};
use stream_memory::MemoryDriver;
use stream_testkit::{
    Backend, Skip, async_trait,
    limited::{Limited, Limits},
};

/// Real stores count in seconds; what has to be rounded up is rounded up all the same.
const GRAIN: Duration = Duration::from_millis(100);

/// A memory driver, seen through limits.
#[derive(Debug)]
pub(crate) struct LimitedBackend {
    driver: MemoryDriver,
    limits: Limits,
    first: Mutex<Option<Arc<Limited>>>,
}

impl LimitedBackend {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { driver: MemoryDriver::new(), limits: limits.grain(GRAIN), first: Mutex::default() }
    }
}

#[async_trait]
impl Backend for LimitedBackend {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        let driver = Arc::new(self.driver.connect());
        let mut first = self.first.lock().unwrap();
        if let Some(first) = &*first {
            return Ok(Arc::new(first.another(driver)));
        }
        Ok(first.insert(Arc::new(Limited::new(driver, self.limits.clone()))).clone())
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        self.driver.push_bytes(queue, bytes)
    }
}

macro_rules! rows {
    ($($profile:ident),* $(,)?) => {$(
        pub(crate) async fn $profile() -> Result<LimitedBackend, Skip> {
            Ok(LimitedBackend::new(Limits::$profile()))
        }
    )*};
}

rows!(like_sqs_standard, like_sqs_fifo, like_rabbitmq, like_kafka, bare);
