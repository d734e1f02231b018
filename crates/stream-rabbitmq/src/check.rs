//! Judges the broker and this connection's rights on it.

use stream_core::{Finding, Priority, QueueName};

use crate::{
    QueueType,
    connection::Connection,
    fault::{Failure, Fault, Outcome},
    topology::Part,
};

/// A queue that `check` declares to see whether it may; it stays empty.
const PROBE: &str = "stream-check";

/// What the owner should know or change.
pub(crate) async fn check(connection: &Connection) -> Outcome<Vec<Finding>> {
    connection.ensure_open()?;
    let live = connection.pushes.live().await?;
    let mut findings = Vec::new();
    if live.is_blocked() {
        let what = "the broker takes no messages: it is short of memory or disk";
        findings.push(Finding::severe(what, "look at its alarms, give it more, or drain its queues"));
        // Nothing can be asked on this connection until then.
        return Ok(findings);
    }
    if connection.config.queue_type == QueueType::Classic {
        let what = "classic queues are on one node: what is in them is gone with it";
        findings.push(Finding::advice(what, "take quorum queues, with a prefix of their own beside these"));
    }
    let probe = QueueName::new(PROBE).map_err(|_| Failure::new(Fault::Unexpected, "an illegal name"))?;
    let parts =
        [Part::Ready(probe.clone(), Priority::Default), Part::Delay(0), Part::Due(probe, Priority::Default)];
    let users = connection.config.exchange.iter().map(|_| Part::Exchange);
    match connection.topology.ensure(&live, parts.into_iter().chain(users)).await {
        Ok(()) => {}
        Err(failure) if failure.fault == Fault::Config => {
            let what = failure.detail.unwrap_or_default();
            findings.push(Finding::severe(what, "see above; nothing can be declared or pushed before"));
        }
        Err(failure) => return Err(failure),
    }
    Ok(findings)
}
