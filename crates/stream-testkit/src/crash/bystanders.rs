//! Jobs beside one that kills its worker: only the killer may end in the dead letters.

use std::{
    collections::BTreeSet,
    slice,
    time::{Duration, Instant},
};

use stream_core::{
    Codec, Consumer, Context, Counts, Envelope, Handlers, JobId, JobResult, Listing, NewJob, Precision,
    QueueManager, Result,
};
use tokio::time::sleep;

use super::{
    CrashBackend, Moment, Round,
    child::Child,
    killing::die,
    orders::Role,
    process::End,
    round::{Play, id_of_letter},
};
use crate::{Skip, ledger::Page};

const BYSTANDERS: usize = 50;
/// Slots of the consumer: that many bystanders are in flight when the killer strikes.
const SLOTS: usize = 8;
/// How long a bystander runs, so that some always run beside the killer.
const RUN: Duration = Duration::from_millis(30);
/// How often the core lets a job be lost where the counts are exact.
const LOST_MAX: u32 = 5;
/// More deaths than any store may need, the generous limit of those that count unstarted ones included.
const DEATHS_MAX: u32 = 30;
const POLL: Duration = Duration::from_millis(5);

/// Lets one job among fifty kill each process that runs it.
///
/// # Panics
/// If a bystander is not done or was buried, or if the killer is not the one dead letter.
pub fn crash_bystanders<B, S>(test: &str, setup: impl FnOnce() -> S)
where
    B: CrashBackend,
    S: Future<Output = Result<B, Skip>>,
{
    let test = test.split_once("::").map_or(test, |(_crate, path)| path);
    let Some(play) = Play::open(test, setup, Round::new(Moment::Random)) else { return };
    let killer = push_all(&play);
    let mut consumer = play.start(Role::Consumer, None);
    let mut deaths = 0;
    while !is_over(&play) {
        match consumer.process.try_end() {
            None => {}
            Some(End::Killed) => {
                deaths += 1;
                assert!(deaths <= DEATHS_MAX, "the killer is run again and again");
                consumer = play.start(Role::Consumer, None);
            }
            Some(end) => panic!("the consumer ended on its own: {end:?}"),
        }
        assert!(Instant::now() < play.ends, "not all was worked in time, after {deaths} deaths");
        std::thread::sleep(POLL);
    }
    play.finish(slice::from_mut(&mut consumer));
    eprintln!("{test}: {deaths} deaths");
    let capabilities = play.driver.capabilities();
    if capabilities.counts == Counts::Exact {
        assert_eq!(deaths, LOST_MAX, "the killer has a limit");
    }
    if capabilities.dead_letters == Listing::Exact {
        let dead: Vec<_> = play.runtime.block_on(play.dead()).iter().map(id_of_letter).collect();
        assert_eq!(dead, [killer], "only the killer is buried");
    }
    let done: BTreeSet<JobId> = play.read(Page::Done).into_iter().collect();
    assert_eq!(done.len(), BYSTANDERS, "every bystander is done");
    play.runtime.block_on(play.clean());
}

/// Nothing waits; or, where the depth is no more than an estimate, all bystanders are done and one letter is there.
fn is_over(play: &Play) -> bool {
    let capabilities = play.driver.capabilities();
    if capabilities.depth == Precision::Exact {
        return play.runtime.block_on(play.is_empty());
    }
    let done: BTreeSet<JobId> = play.read(Page::Done).into_iter().collect();
    let Some(store) = play.driver.dead_letters().filter(|_| done.len() == BYSTANDERS) else {
        return done.len() == BYSTANDERS;
    };
    play.runtime.block_on(store.count(&play.queue)).expect("letters are counted") > 0
}

/// Pushes the killer among the others; its id.
fn push_all(play: &Play) -> JobId {
    let mut jobs: Vec<_> =
        (0..BYSTANDERS).map(|_| NewJob::new(Envelope::new("bystander", Codec::Raw, Vec::new()))).collect();
    let mut killer = Envelope::new("killer", Codec::Raw, Vec::new());
    // Where a store has one counter, it is the attempts above the maximum that count as losses.
    killer.max_attempts = 1;
    let id = killer.id;
    jobs.insert(3, NewJob::new(killer));
    let answers = play.runtime.block_on(play.driver.push(&play.queue, &jobs));
    assert!(answers.iter().all(Result::is_ok), "all are stored: {answers:?}");
    id
}

/// The part of the child: the core's own consumer, until it is told to stop.
pub(super) async fn consume(child: &Child) {
    let ledger = child.ledger.clone();
    // Raw payloads have no type, so the work is done around the handler.
    let handlers = Handlers::new().middleware(move |cx: Context, _next| {
        let ledger = ledger.clone();
        async move {
            if cx.name() == "killer" {
                die();
            }
            sleep(RUN).await;
            ledger.append(Page::Done, &[cx.id()]).expect("the ledger is written");
            JobResult::Ok(())
        }
    });
    let nothing = async |(): (), _: Context| JobResult::Ok(());
    let handlers = handlers.register_named("killer", nothing).register_named("bystander", nothing);
    let queue = QueueManager::new(child.driver.clone());
    let consumer = Consumer::builder(&queue, handlers)
        .queues([&child.orders.queue])
        .workers(SLOTS)
        .lease(child.lease())
        .start()
        .await
        .expect("the consumer starts");
    while !child.is_stopped() {
        sleep(POLL).await;
    }
    consumer.shutdown().await.expect("the consumer stops");
}
