//! How queues and exchanges are named on the broker.

use stream_core::{Priority, QueueName};

use crate::exchange::Exchange;

/// The names of one connection; all begin with its prefix.
///
/// What comes after a queue's name begins with a dot, which no queue's name has: two never collide.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The broker's queue for the ready jobs of one priority.
    pub(crate) fn ready(&self, queue: &QueueName, priority: Priority) -> String {
        format!("{}{queue}.{}", self.prefix, priority.as_str())
    }

    /// The broker's queue for the dead letters.
    pub(crate) fn dead(&self, queue: &QueueName) -> String {
        format!("{}{queue}.dead", self.prefix)
    }

    /// The exchange in front of the four queues of a queue that has bindings.
    pub(crate) fn inlet(&self, queue: &QueueName) -> String {
        format!("{}{queue}.in", self.prefix)
    }

    /// Both the exchange and the queue of a level of the delay chain.
    pub(crate) fn delay(&self, level: u32) -> String {
        format!("{}stream.delay.{level:02}", self.prefix)
    }

    /// Where the delay chain ends, and by its headers a job goes on.
    pub(crate) fn due(&self) -> String {
        format!("{}stream.delay.due", self.prefix)
    }

    /// Takes due jobs to the queue that is their routing key.
    pub(crate) fn deliver(&self) -> String {
        format!("{}stream.deliver", self.prefix)
    }

    /// A user's exchange has the name it was given: others publish to it.
    pub(crate) fn exchange<'e>(&self, exchange: &'e Exchange) -> &'e str {
        &exchange.name
    }
}
