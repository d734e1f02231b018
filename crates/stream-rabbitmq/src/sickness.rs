//! Queues that do not answer, and how workers go on without them.
//!
//! A quorum queue without a leader leaves a consumer without an answer, and the channel stands still at it, with all other
//! queues of that channel. After a crash of a RabbitMQ 3.10 node this can last until the queue is removed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use lapin::{options::BasicConsumeOptions, types::FieldTable};
use tokio::time::{sleep, timeout};

use crate::{fault::Outcome, intake::Intake, locked::locked};

/// How long a consumer may take to be opened.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two tries at a queue that did not answer.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a consumer may take to be opened, unless a call may take less.
pub(crate) fn limit(intake: &Intake) -> Duration {
    LIMIT.min(intake.connection.config.call_timeout)
}

/// The next channels of this connection leave the queue out.
pub(crate) fn shun(intake: &Intake, line: usize) {
    let (queue, priority) = intake.line(line);
    intake.connection.shun(intake.connection.topology.names.ready(queue, priority));
}

/// Which lines of a new channel are of queues that did not answer; each is tried again until it does.
pub(crate) fn watch(intake: &Arc<Intake>) {
    let names = &intake.connection.topology.names;
    for line in 0..intake.lines() {
        let (queue, priority) = intake.line(line);
        let name = names.ready(queue, priority);
        if intake.connection.is_shunned(&name) {
            locked(&intake.stock).shun(line);
            tokio::spawn(until_well(Arc::downgrade(intake), line, name));
        }
    }
}

async fn until_well(intake: Weak<Intake>, line: usize, name: String) {
    loop {
        sleep(AGAIN).await;
        let Some(intake) = intake.upgrade().filter(|intake| intake.is_good()) else { return };
        if answers(&intake, &name).await.is_ok() {
            intake.connection.welcome(&name);
            locked(&intake.stock).welcome(line);
            intake.poke.notify_one();
            return;
        }
    }
}

/// Opens a consumer on a channel of its own, which takes back with it what comes.
async fn answers(intake: &Intake, name: &str) -> Outcome<()> {
    let channel = intake.live.open().await?;
    let consume = channel.basic_consume(
        name.into(),
        "probe".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let consumer = timeout(limit(intake), consume).await;
    let no_answer = |_| crate::fault::Failure::no_answer(limit(intake), crate::fault::Fault::Away);
    consumer.map_err(no_answer)?.map(drop).map_err(crate::fault::Failure::away)
}
