//! Tends to a channel: ends leases, opens and cancels consumers, gives back what waits too long.

use std::{future::pending, sync::Arc};

use futures_core::future::BoxFuture;
use lapin::{
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    copier::Errand,
    fault::{Failure, Fault, Outcome},
    intake::{Intake, Lifeline},
    locked::locked,
    sickness,
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
        consume(intake, lines).await?;
    }
    Ok(())
}

/// Opens consumers to which the broker sends up to as many deliveries as each says, all the same.
async fn consume(intake: &Arc<Intake>, lines: &[(usize, u32, u16)]) -> Outcome<()> {
    let Some((_, _, prefetch)) = lines.first() else { return Ok(()) };
    // It holds for the consumers that are opened after it.
    intake.live.within(intake.channel.basic_qos(*prefetch, BasicQosOptions { global: false })).await?;
    let begun = together::begin(lines.iter().map(|(line, turn, _)| consumer(intake, *line, *turn))).await;
    for (begun, (line, turn, _)) in begun.into_iter().zip(lines) {
        let Ok(consumer) = timeout(sickness::limit(intake), begun.output()).await else {
            // The first that is not answered is the one at fault: the channel stands still at it.
            sickness::shun(intake, *line);
            return Err(Failure::no_answer(sickness::limit(intake), Fault::Away));
        };
        tokio::spawn(intake.clone().pump(consumer.map_err(Failure::away)?, *line, *turn));
    }
    Ok(())
}

fn consumer(intake: &Intake, line: usize, turn: u32) -> BoxFuture<'_, lapin::Result<lapin::Consumer>> {
    let (queue, priority) = intake.line(line);
    let name = intake.connection.topology.names.ready(queue, priority);
    let options = BasicConsumeOptions::default();
    Box::pin(intake.channel.basic_consume(
        name.into(),
        tag(line, turn).into(),
        options,
        FieldTable::default(),
    ))
}

/// How a consumer is named on its channel.
fn tag(line: usize, turn: u32) -> String {
    format!("{line}.{turn}")
}
