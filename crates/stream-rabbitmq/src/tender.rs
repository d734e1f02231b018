//! Tends to a channel: ends leases, opens and cancels consumers, gives back what waits too long.

use std::{future::pending, sync::Arc};

use futures_core::future::BoxFuture;
use lapin::{
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::{Instant, sleep_until};

use crate::{
    copier::Errand,
    fault::Outcome,
    intake::{Intake, Lifeline},
    locked::locked,
    stock::Duties,
    together,
    topology::Part,
};

/// Runs until the channel is gone, or closed and empty.
pub(crate) async fn tend(lifeline: Lifeline) {
    let intake = &lifeline.0;
    loop {
        if !intake.works() {
            return;
        }
        if intake.is_left() {
            intake.begin_closing();
        }
        let duties = locked(&intake.stock).tend(Instant::now());
        if duties.is_finished {
            // Told before the end, so that nobody takes the channel for one that was lost.
            let closing = intake.channel.close(200, "closed".into());
            let _: Outcome<()> = intake.live.within(closing).await;
            return;
        }
        let next = duties.next;
        if perform(intake, duties).await.is_err() {
            return;
        }
        let until_next = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = intake.poke.notified() => {}
            () = until_next => {}
        }
    }
}

async fn perform(intake: &Arc<Intake>, duties: Duties) -> Outcome<()> {
    duties.lost.into_iter().for_each(|tag| intake.send(Errand::lost(tag)));
    duties.hand_back.into_iter().for_each(|tag| intake.send(Errand::hand_back(tag)));
    let cancels = duties.shut.into_iter().map(|(line, turn)| {
        let cancel = intake.channel.basic_cancel(tag(line, turn).into(), BasicCancelOptions::default());
        Box::pin(cancel) as BoxFuture<'_, lapin::Result<()>>
    });
    let cancelled = together::all(cancels);
    let cancelled = intake.live.within(async { cancelled.await.into_iter().collect::<lapin::Result<()>>() });
    let opened = open(intake, duties.open);
    // Both are sent at once: the broker takes them in this order.
    let (cancelled, opened) = tokio::join!(cancelled, opened);
    cancelled.and(opened)
}

async fn open(intake: &Arc<Intake>, mut lines: Vec<(usize, u32, u16)>) -> Outcome<()> {
    lines.sort_by_key(|(line, _, prefetch)| (*prefetch, *line));
    let parts = lines.iter().map(|(line, _, _)| {
        let (queue, priority) = intake.line(*line);
        Part::Ready(queue.clone(), priority)
    });
    intake.connection.topology.ensure(&intake.live, parts).await?;
    for lines in lines.chunk_by(|one, other| one.2 == other.2) {
        let consumers = intake.live.within(consume(intake, lines)).await?;
        for (consumer, (line, turn, _)) in consumers.into_iter().zip(lines) {
            tokio::spawn(intake.clone().pump(consumer, *line, *turn));
        }
    }
    Ok(())
}

/// Opens consumers to which the broker sends up to as many deliveries as each says, all the same.
async fn consume(intake: &Intake, lines: &[(usize, u32, u16)]) -> lapin::Result<Vec<lapin::Consumer>> {
    let Some((_, _, prefetch)) = lines.first() else { return Ok(Vec::new()) };
    // It holds for the consumers that are opened after it.
    intake.channel.basic_qos(*prefetch, BasicQosOptions { global: false }).await?;
    let consumers = lines.iter().map(|(line, turn, _)| {
        let (queue, priority) = intake.line(*line);
        let name = intake.connection.topology.names.ready(queue, priority);
        let options = BasicConsumeOptions::default();
        let consume = intake.channel.basic_consume(
            name.into(),
            tag(*line, *turn).into(),
            options,
            FieldTable::default(),
        );
        Box::pin(consume) as BoxFuture<'_, lapin::Result<lapin::Consumer>>
    });
    together::all(consumers).await.into_iter().collect()
}

/// How a consumer is named on its channel.
fn tag(line: usize, turn: u32) -> String {
    format!("{line}.{turn}")
}
