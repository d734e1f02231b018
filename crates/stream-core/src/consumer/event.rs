//! What a consumer tells its listeners.

use std::time::Duration;

use crate::{Context, Delivery, Error, Outcome, QueueName};

/// Something that happened in a consumer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A handler is about to run.
    Started {
        /// The job.
        cx: &'a Context,
    },
    /// The store has answered: the outcome counts.
    Settled {
        /// The job.
        cx: &'a Context,
        /// What became of it.
        outcome: &'a Outcome,
        /// From its start to the store's answer.
        ran: Duration,
    },
    /// A delivery was settled unrun: undecodable, lost too often, no handler, put back.
    NotRun {
        /// Where it was.
        queue: &'a QueueName,
        /// What was delivered.
        delivery: &'a Delivery,
        /// What became of it.
        outcome: &'a Outcome,
    },
    /// The delivery was over before the job ended: its outcome counts for nothing.
    LeaseLost {
        /// The job.
        cx: &'a Context,
    },
    /// The answer was lost: the outcome may have counted.
    OutcomeUnconfirmed {
        /// The job.
        cx: &'a Context,
    },
    /// The store did not answer; it is asked again.
    Unavailable {
        /// Where.
        queue: &'a QueueName,
        /// Why.
        error: &'a Error,
    },
}
