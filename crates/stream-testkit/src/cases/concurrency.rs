//! Concurrency: many hands at one queue, each job once.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
    sync::Mutex,
    time::Duration,
};

use stream_core::{
    Delivery, Fence, JobId, Outcome, Pushed, QueueManager, Reserve, ReservedJob, Subscription,
};
use tokio::{
    join,
    task::JoinSet,
    time::{Instant, interval},
};

use crate::{
    Stage,
    stage::{LONG_LEASE, NOT_LATER, assert_lease_lost, ids, job_ids, plain_job, plain_jobs},
};

/// Two connections that race for jobs take each once.
pub async fn two_connections_racing_for_200_jobs_take_each_once(stage: Stage) {
    let other = stage.elsewhere().await;
    let (mine, theirs) = (stage.subscribe().await, other.subscribe().await);
    let jobs = stage.push_plain(200).await;
    let taken = Taken::default();
    join!(work(&stage, &*mine, &taken, 200), work(&other, &*theirs, &taken, 200));
    taken.assert_each_once(&stage, &job_ids(&jobs));
    stage.assert_empty(&*mine).await;
}

/// Calls that race on one subscription take each job once.
pub async fn calls_racing_on_one_subscription_take_each_job_once(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(100).await;
    let taken = Taken::default();
    let worker = || work(&stage, &*subscription, &taken, 100);
    join!(worker(), worker(), worker(), worker());
    taken.assert_each_once(&stage, &job_ids(&jobs));
    stage.assert_empty(&*subscription).await;
}

/// Pushes at the same time are each stored.
pub async fn concurrent_pushes_are_each_stored(stage: Stage) {
    let mut pushes = JoinSet::new();
    for _ in 0..8 {
        let stage = stage.clone();
        pushes.spawn(async move { stage.push_plain(10).await });
    }
    let jobs: Vec<_> = pushes.join_all().await.into_iter().flatten().collect();
    let taken = stage.hold(&*stage.subscribe().await, jobs.len()).await;
    assert_eq!(ids(&taken), job_ids(&jobs));
}

/// Of pushes of one job at the same time one stores it, the others are told.
pub async fn concurrent_pushes_of_one_job_store_it_once(stage: Stage) {
    let other = stage.elsewhere().await;
    let jobs = plain_jobs(20);
    let mut pushes = JoinSet::new();
    for pusher in [stage.clone(), stage.clone(), other.clone(), other] {
        let jobs = jobs.clone();
        pushes.spawn(async move { pusher.try_push(&jobs).await });
    }
    let answers: Vec<_> = pushes.join_all().await.into_iter().flatten().collect();
    let stored = answers.iter().filter(|answer| matches!(answer, Ok(Pushed::Stored(_)))).count();
    let there = answers.iter().filter(|answer| matches!(answer, Ok(Pushed::AlreadyStored(_)))).count();
    let expected = if stage.capabilities().repeated_push.is_yes() { (20, 60) } else { (80, 0) };
    assert_eq!((stored, there), expected, "stored and already stored");
    stage.finish_each(&*stage.subscribe().await, &jobs).await;
}

/// Of settlements of one delivery at the same time exactly one is answered `Ok`.
pub async fn concurrent_settlements_of_one_delivery_have_exactly_one_ok(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(10).await;
    let taken = stage.hold(&*subscription, 10).await;
    for delivery in taken {
        let mut settlements = JoinSet::new();
        for _ in 0..4 {
            let (stage, delivery) = (stage.clone(), delivery.clone());
            settlements.spawn(async move { stage.try_settle(&delivery, Outcome::Done).await });
        }
        let answers = settlements.join_all().await;
        let good = answers.iter().filter(|answer| answer.is_ok()).count();
        if stage.capabilities().fence == Fence::BestEffort {
            assert!(good >= 1, "{answers:?}");
        } else {
            assert_eq!(good, 1, "{answers:?}");
        }
        answers.iter().filter(|answer| answer.is_err()).for_each(assert_lease_lost);
    }
    stage.assert_empty(&*subscription).await;
}

/// Pushes every 30 ms to an idle worker are each picked up in time.
pub async fn pushes_every_30_ms_to_an_idle_worker_are_each_picked_up_in_time(stage: Stage) {
    const PUSHES: usize = 30;
    let other = stage.elsewhere().await;
    let subscription = stage.subscribe().await;
    let pushed = Mutex::new(BTreeMap::new());
    let producer = async {
        let mut every = interval(Duration::from_millis(30));
        for _ in 0..PUSHES {
            every.tick().await;
            let job = plain_job();
            pushed.lock().expect("never poisoned").insert(job.envelope.id, Instant::now());
            other.push(slice::from_ref(&job)).await;
        }
    };
    let worker = async {
        let mut started = BTreeSet::new();
        while started.len() < PUSHES {
            let delivery = stage.hold_one(&*subscription).await;
            let id = delivery.id().expect("an id");
            let waited = pushed.lock().expect("never poisoned")[&id].elapsed();
            assert!(waited < NOT_LATER, "a job was picked up after {waited:?}");
            started.insert(id);
            stage.settle(&delivery, Outcome::Done).await;
        }
    };
    join!(worker, producer);
}

/// Popping on many queues and dropping the guards brings each job back, counting nothing.
pub async fn pop_on_many_queues_with_dropped_guards_returns_the_jobs(stage: Stage) {
    let queue = QueueManager::new(stage.driver().clone());
    let mut pops = JoinSet::new();
    for _ in 0..100 {
        let (stage, queue) = (stage.another_queue(), queue.clone());
        pops.spawn(async move {
            let jobs = stage.push_plain(1).await;
            drop(pop(&queue, &stage).await);
            // It comes back long before the lease of a pop, 30 seconds, has ended.
            let again = stage.hold_one(&*stage.subscribe().await).await;
            assert_eq!(ids(slice::from_ref(&again)), job_ids(&jobs));
            stage.assert_counts(&again, 1, 0);
        });
    }
    while let Some(ended) = pops.join_next().await {
        ended.expect("the job came back");
    }
}

async fn pop(queue: &QueueManager, stage: &Stage) -> ReservedJob {
    let deadline = Instant::now() + NOT_LATER;
    loop {
        if let Some(job) = queue.pop(stage.queue().as_str()).await.expect("popped") {
            return job;
        }
        assert!(Instant::now() < deadline, "nothing was popped");
    }
}

/// What racing workers took and ended.
#[derive(Debug, Default)]
struct Taken {
    /// The attempt and losses of each delivery. Two of one job differ in one of them, since the first
    /// must have been retried or lost before there is a second.
    deliveries: Mutex<BTreeMap<JobId, Vec<(u32, u32)>>>,
    ended: Mutex<Vec<JobId>>,
}

impl Taken {
    /// How many jobs were ended, each counted once.
    fn ended(&self) -> usize {
        self.ended.lock().expect("never poisoned").iter().collect::<BTreeSet<_>>().len()
    }

    fn take(&self, delivery: &Delivery) {
        let id = delivery.id().expect("an id");
        let counts = (delivery.attempt, delivery.lost);
        self.deliveries.lock().expect("never poisoned").entry(id).or_default().push(counts);
    }

    fn end(&self, delivery: &Delivery) {
        self.ended.lock().expect("never poisoned").push(delivery.id().expect("an id"));
    }

    fn assert_each_once(&self, stage: &Stage, jobs: &[JobId]) {
        let mut ended = self.ended.lock().expect("never poisoned").clone();
        ended.sort();
        if stage.capabilities().fence == Fence::BestEffort {
            ended.dedup();
            return assert_eq!(ended, jobs, "the jobs that were ended");
        }
        assert_eq!(ended, jobs, "the jobs that were ended");
        for deliveries in self.deliveries.lock().expect("never poisoned").values() {
            let different = deliveries.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(different, deliveries.len(), "taken twice, with attempt and lost: {deliveries:?}");
        }
    }
}

/// Takes and ends jobs until `count` were ended by all workers together.
async fn work(stage: &Stage, subscription: &dyn Subscription, taken: &Taken, count: usize) {
    while taken.ended() < count {
        let request = Reserve::new(7).lease(LONG_LEASE);
        let deliveries = subscription.reserve(stage.queue(), request).await.expect("reserved");
        if deliveries.is_empty() {
            subscription.ready(Duration::from_millis(50)).await.expect("ready answers");
        }
        deliveries.iter().for_each(|delivery| taken.take(delivery));
        let answers = stage.try_settle_all(&deliveries, &Outcome::Done).await;
        // A delivery may be lost where its place goes to another worker; the job comes again.
        let ended = deliveries.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
        ended.for_each(|(delivery, _)| taken.end(delivery));
    }
}
