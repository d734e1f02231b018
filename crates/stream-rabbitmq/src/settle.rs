//! Ending deliveries, and moving the ends of leases.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use stream_core::{Delivery, Outcome as Verdict, QueueName, Result, Settlement};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    arrivals::Tag,
    connection::Connection,
    copier::Errand,
    error::At,
    fault::{Failure, Fault, Outcome},
    intake::Intake,
    locked::locked,
    receipt::Key,
    stock::{Begun, Extended},
};

/// What a settlement waits for.
enum Pending {
    Answered(Outcome<()>),
    /// The acknowledgement of this group.
    Acknowledged(usize),
    Copied(oneshot::Receiver<Outcome<()>>),
    /// Another call is ending the same delivery.
    Busy(Arc<Intake>, Tag),
}

/// Ends deliveries; answer *i* is for settlement *i*.
pub(crate) async fn settle(
    connection: &Connection,
    queue: &QueueName,
    settlements: &[Settlement<'_>],
) -> Vec<Result<()>> {
    let at = At("settle");
    let deadline = Instant::now() + connection.config.call_timeout;
    let mut pending = begin(connection, queue, settlements);
    let mut acknowledged = Vec::with_capacity(pending.groups.len());
    for group in pending.groups {
        acknowledged.push(timeout_at(deadline, group).await.unwrap_or_else(|_| Err(no_answer(connection))));
    }
    let mut answers = Vec::with_capacity(settlements.len());
    for (settlement, waits) in settlements.iter().zip(pending.each.drain(..)) {
        let answer = match waits {
            Pending::Answered(answer) => answer,
            Pending::Acknowledged(group) => acknowledged[group].clone(),
            Pending::Copied(answer) => copied(connection, answer, deadline).await,
            Pending::Busy(intake, tag) => match ended(&intake, tag, deadline).await {
                false => Err(no_answer(connection)),
                // Ended by the other call, unless that one failed: then it is this call's again.
                true => again(connection, queue, settlement, deadline).await,
            },
        };
        answers.push(answer.map_err(|failure| at.error(failure)));
    }
    answers
}

struct Begin {
    each: Vec<Pending>,
    groups: Vec<futures_core::future::BoxFuture<'static, Outcome<()>>>,
}

/// Begins every settlement. What is done is acknowledged here and now, channel by channel, without a wait: whoever drops
/// this future leaves nothing half done.
fn begin(connection: &Connection, queue: &QueueName, settlements: &[Settlement<'_>]) -> Begin {
    let call = connection.next_call();
    let mut intakes: HashMap<u64, Option<Arc<Intake>>> = HashMap::new();
    let mut done: Vec<(Arc<Intake>, Vec<Tag>)> = Vec::new();
    let mut each = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        let Some(key) = Key::of(settlement.delivery) else {
            each.push(Pending::Answered(Err(Failure::lease_lost())));
            continue;
        };
        let intake = intakes.entry(key.nonce).or_insert_with(|| connection.intake(key.nonce));
        each.push(match intake {
            None if connection.is_closed() => Pending::Answered(Err(crate::error::closed())),
            None => Pending::Answered(Err(Failure::lease_lost())),
            Some(intake) => begin_one(intake, queue, key.tag, settlement.outcome, call, &mut done),
        });
    }
    let groups = done.into_iter().map(|(intake, mut tags)| {
        let answered = intake.acknowledge(&mut locked(&intake.stock), &mut tags);
        intake.news.notify_waiters();
        if intake.is_left() {
            intake.poke.notify_one();
        }
        answered
    });
    Begin { groups: groups.collect(), each }
}

fn begin_one(
    intake: &Arc<Intake>,
    queue: &QueueName,
    tag: Tag,
    verdict: &Verdict,
    call: u64,
    done: &mut Vec<(Arc<Intake>, Vec<Tag>)>,
) -> Pending {
    let Some(place) = intake.place_of(queue).filter(|_| intake.works()) else {
        return Pending::Answered(Err(Failure::lease_lost()));
    };
    match locked(&intake.stock).begin(place, tag, call) {
        Begun::Gone => Pending::Answered(Err(Failure::lease_lost())),
        Begun::Busy => Pending::Busy(intake.clone(), tag),
        Begun::Yes => {
            let (answer, waiting) = oneshot::channel();
            if let Some(errand) = Errand::settle(tag, verdict, answer) {
                intake.send(errand);
                return Pending::Copied(waiting);
            }
            let group = done.iter().position(|(other, _)| Arc::ptr_eq(other, intake)).unwrap_or_else(|| {
                done.push((intake.clone(), Vec::new()));
                done.len() - 1
            });
            done[group].1.push(tag);
            Pending::Acknowledged(group)
        }
    }
}

async fn copied(
    connection: &Connection,
    answer: oneshot::Receiver<Outcome<()>>,
    deadline: Instant,
) -> Outcome<()> {
    match timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => answer,
        // The task that copies has ended with the channel; what it had sent may have arrived.
        Ok(Err(_)) => Err(Failure::new(Fault::InDoubt, "the channel ended before the broker's answer")),
        Err(_) => Err(no_answer(connection)),
    }
}

/// Once more, after another call had been at it.
async fn again(
    connection: &Connection,
    queue: &QueueName,
    settlement: &Settlement<'_>,
    deadline: Instant,
) -> Outcome<()> {
    let mut pending = begin(connection, queue, std::slice::from_ref(settlement));
    match pending.each.pop() {
        Some(Pending::Answered(answer)) => answer,
        Some(Pending::Copied(answer)) => copied(connection, answer, deadline).await,
        Some(Pending::Acknowledged(_)) => match pending.groups.pop() {
            Some(group) => timeout_at(deadline, group).await.unwrap_or_else(|_| Err(no_answer(connection))),
            None => Err(no_answer(connection)),
        },
        Some(Pending::Busy(..)) | None => Err(no_answer(connection)),
    }
}

fn no_answer(connection: &Connection) -> Failure {
    Failure::no_answer(connection.config.call_timeout, Fault::InDoubt)
}

/// Waits until no call is ending this delivery; false if that took too long.
async fn ended(intake: &Intake, tag: Tag, deadline: Instant) -> bool {
    let ended = async {
        loop {
            let mut news = pin!(intake.news.notified());
            news.as_mut().enable();
            if !locked(&intake.stock).is_leaving(tag) {
                return;
            }
            news.await;
        }
    };
    timeout_at(deadline, ended).await.is_ok()
}

/// Moves the ends of leases; this process keeps them, so nothing is sent.
pub(crate) fn extend(
    connection: &Connection,
    queue: &QueueName,
    deliveries: &[&Delivery],
    lease: Duration,
) -> Vec<Result<()>> {
    let (at, now) = (At("extend"), Instant::now());
    let one = |delivery: &&Delivery| {
        connection.ensure_open().map_err(|failure| at.error(failure))?;
        let key = Key::of(delivery).ok_or_else(|| at.lease_lost())?;
        let intake = connection.intake(key.nonce).filter(|intake| intake.works());
        let intake = intake.ok_or_else(|| at.lease_lost())?;
        let place = intake.place_of(queue).ok_or_else(|| at.lease_lost())?;
        let (extended, must_be_tended) = {
            let mut stock = locked(&intake.stock);
            (stock.extend(place, key.tag, lease, now), stock.must_be_tended())
        };
        if must_be_tended {
            intake.poke.notify_one();
        }
        match extended {
            Extended::Yes => Ok(()),
            Extended::Gone => Err(at.lease_lost()),
            Extended::TooLong => {
                let longest = connection.config.lease_max();
                Err(at.unsupported(
                    "lease",
                    format!("at most {longest:?} from its beginning, extensions included"),
                ))
            }
        }
    };
    deliveries.iter().map(one).collect()
}

/// Whether a delivery is handed out and its lease has not ended, as far as is known here.
pub(crate) fn is_current(connection: &Connection, delivery: &Delivery) -> bool {
    let Some(key) = Key::of(delivery).filter(|_| !connection.is_closed()) else { return false };
    let intake = connection.intake(key.nonce).filter(|intake| intake.works());
    intake.is_some_and(|intake| locked(&intake.stock).is_current(key.tag, Instant::now()))
}
