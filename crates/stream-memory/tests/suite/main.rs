//! The memory driver against the conformance suite, and what is its own.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed, also in its helpers")]

mod clock;
mod consumer;
mod limited;
mod own;
mod soak;

use std::sync::Arc;

use stream_core::{Driver, QueueName, Result};
use stream_memory::MemoryDriver;
use stream_testkit::{Backend, Skip, async_trait};

#[derive(Debug)]
struct MemoryBackend {
    driver: MemoryDriver,
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(self.driver.connect()))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        self.driver.push_bytes(queue, bytes)
    }
}

async fn memory() -> Result<MemoryBackend, Skip> {
    Ok(MemoryBackend { driver: MemoryDriver::new() })
}

mod conformance {
    stream_testkit::conformance!(super::memory);

    mod like_sqs_standard {
        stream_testkit::conformance!(crate::limited::like_sqs_standard);
    }

    mod like_sqs_fifo {
        stream_testkit::conformance!(crate::limited::like_sqs_fifo);
    }

    mod like_rabbitmq {
        stream_testkit::conformance!(crate::limited::like_rabbitmq);
    }

    mod like_kafka {
        stream_testkit::conformance!(crate::limited::like_kafka);
    }

    mod bare {
        stream_testkit::conformance!(crate::limited::bare);
    }
}
