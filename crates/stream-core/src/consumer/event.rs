//! What a consumer tells its listeners.

use std::time::Duration;

use crate::{Context, Delivery, Error, Outcome, QueueName};

/// Something that happened in a consumer; listeners are called in place and should be quick.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A handler is about to run.
    Started {
        /// The job.
        cx: &'a Context,
    },
    /// The store has answered: the job's outcome counts.
    Settled {
        /// The job.
        cx: &'a Context,
        /// What became of it.
        outcome: &'a Outcome,
        /// How long it took from its start to the answer of the store.
        ran: Duration,
    },
    /// A delivery was settled without being run: undecodable, lost too often, no handler, put back.
    NotRun {
        /// Where it was.
        queue: &'a QueueName,
        /// What was delivered.
        delivery: &'a Delivery,
        /// What became of it.
        outcome: &'a Outcome,
    },
    /// The delivery was over before the job ended: its outcome counts for nothing, it runs elsewhere.
    LeaseLost {
        /// The job.
        cx: &'a Context,
    },
    /// The outcome was sent and may have counted, but the answer was lost.
    OutcomeUnconfirmed {
        /// The job.
        cx: &'a Context,
    },
    /// The store did not do what it was asked; it is asked again.
    Unavailable {
        /// Where.
        queue: &'a QueueName,
        /// Why.
        error: &'a Error,
    },
}
