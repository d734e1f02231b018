//! Faults strike before a call or after it, as the seed says.

use std::{slice, sync::Arc, time::Duration};

use stream_core::{
    Codec, Delivery, Driver, Envelope, Error, ErrorKind, NewJob, Outcome, QueueName, Reserve, Result,
    Settlement,
};
use stream_testkit::{
    Backend,
    faulty::{Faults, Faulty, Operation, Side},
};

use crate::toy::{ToyStore, toy_store};

/// A faulty connection and a sound one to the same store.
struct Scene {
    faulty: Faulty,
    sound: Arc<dyn Driver>,
    queue: QueueName,
    _store: ToyStore,
}

impl Scene {
    async fn with(faults: Faults) -> Self {
        let store = toy_store().await.expect("a store");
        let faulty = Faulty::new(store.connect().await.expect("connected"), faults);
        let sound = store.connect().await.expect("connected");
        Self { faulty, sound, queue: QueueName::new("jobs").expect("legal"), _store: store }
    }

    async fn push(&self, count: usize) -> Vec<Result<stream_core::Pushed>> {
        let job = |_| NewJob::new(Envelope::new("job", Codec::Raw, vec![1]));
        self.faulty.push(&self.queue, &(0..count).map(job).collect::<Vec<_>>()).await
    }

    async fn reserve(&self, driver: &dyn Driver, lease: Duration) -> Result<Vec<Delivery>> {
        let subscription = driver.subscribe(slice::from_ref(&self.queue)).await?;
        subscription.reserve(&self.queue, Reserve::new(10).lease(lease)).await
    }

    /// A job that the sound connection has reserved for long.
    async fn held(&self) -> Delivery {
        self.push(1).await.remove(0).expect("stored");
        self.reserve(&*self.sound, LONG).await.expect("reserved").remove(0)
    }

    async fn settle(&self, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        self.faulty.settle(&self.queue, &[Settlement::new(delivery, outcome)]).await.remove(0)
    }

    /// Ready, reserved and dead jobs.
    async fn depth(&self) -> (u64, u64, u64) {
        let depth = self.sound.depth(&self.queue).await.expect("depth");
        (depth.ready, depth.reserved, depth.dead.expect("the toy counts its dead"))
    }
}

const LONG: Duration = Duration::from_secs(60);

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error: Error| error.kind().clone())
}

#[tokio::test]
async fn push_that_fails_before_is_not_stored() {
    let scene = Scene::with(Faults::new(1).push(1.0).only(Side::Before)).await;
    let answers = scene.push(3).await;
    assert_eq!(answers.len(), 3);
    assert!(answers.into_iter().all(|answer| kind(answer) == Some(ErrorKind::Unavailable)));
    assert_eq!(scene.depth().await, (0, 0, 0));
    assert_eq!(scene.faulty.injected(Operation::Push, Side::Before), 1);
}

#[tokio::test]
async fn push_that_fails_after_is_stored() {
    let scene = Scene::with(Faults::new(1).push(1.0).only(Side::After)).await;
    let answers = scene.push(3).await;
    assert_eq!(answers.len(), 3);
    assert!(answers.into_iter().all(|answer| kind(answer) == Some(ErrorKind::OutcomeUnknown)));
    assert_eq!(scene.depth().await, (3, 0, 0));
    assert_eq!(scene.faulty.injected(Operation::Push, Side::After), 1);
}

#[tokio::test]
async fn settlement_that_fails_before_leaves_the_job() {
    let scene = Scene::with(Faults::new(1).settle(1.0).only(Side::Before)).await;
    let delivery = scene.held().await;
    assert_eq!(kind(scene.settle(&delivery, &Outcome::Done).await), Some(ErrorKind::Unavailable));
    assert_eq!(scene.depth().await, (0, 1, 0));
}

#[tokio::test]
async fn settlement_that_fails_after_has_ended_the_delivery() {
    let scene = Scene::with(Faults::new(1)).await;
    scene.faulty.fail_next(Operation::Settle, Side::After, 1);
    let delivery = scene.held().await;
    assert_eq!(kind(scene.settle(&delivery, &Outcome::Done).await), Some(ErrorKind::OutcomeUnknown));
    assert_eq!(scene.depth().await, (0, 0, 0));
    // As the contract says of a repeated call that had been done.
    assert_eq!(kind(scene.settle(&delivery, &Outcome::Done).await), Some(ErrorKind::LeaseLost));
}

#[tokio::test]
async fn refusal_of_the_inner_driver_is_not_hidden_by_a_fault() {
    let scene = Scene::with(Faults::new(1).settle(1.0).only(Side::After)).await;
    let delivery = scene.held().await;
    scene.settle(&delivery, &Outcome::Done).await.expect_err("injected");
    assert_eq!(kind(scene.settle(&delivery, &Outcome::Done).await), Some(ErrorKind::LeaseLost));
}

#[tokio::test]
async fn extension_that_fails_before_leaves_the_lease_and_after_moves_it() {
    let scene = Scene::with(Faults::new(1)).await;
    let delivery = scene.held().await;
    for (side, expected, depth) in [
        (Side::Before, ErrorKind::Unavailable, (0, 1, 0)),
        (Side::After, ErrorKind::OutcomeUnknown, (1, 0, 0)),
    ] {
        scene.faulty.fail_next(Operation::Extend, side, 1);
        let answer = scene.faulty.extend(&scene.queue, &[&delivery], Duration::ZERO).await.remove(0);
        assert_eq!(kind(answer), Some(expected));
        assert_eq!(scene.depth().await, depth, "{side:?}");
    }
}

#[tokio::test]
async fn reserve_that_fails_after_has_taken_the_jobs_until_their_lease_ends() {
    let scene = Scene::with(Faults::new(1)).await;
    scene.push(2).await;
    scene.faulty.fail_next(Operation::Reserve, Side::After, 1);
    let lease = Duration::from_millis(100);
    assert_eq!(kind(scene.reserve(&scene.faulty, lease).await), Some(ErrorKind::OutcomeUnknown));
    assert_eq!(scene.depth().await, (0, 2, 0));
    let subscription = scene.sound.subscribe(slice::from_ref(&scene.queue)).await.expect("subscribed");
    assert_eq!(subscription.ready(LONG).await.expect("ready"), slice::from_ref(&scene.queue));
    let again = scene.reserve(&*scene.sound, LONG).await.expect("reserved");
    assert_eq!(again.iter().map(|delivery| delivery.lost).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn reserve_that_fails_before_has_taken_nothing() {
    let scene = Scene::with(Faults::new(1).reserve(1.0).only(Side::Before)).await;
    scene.push(2).await;
    assert_eq!(kind(scene.reserve(&scene.faulty, LONG).await), Some(ErrorKind::Unavailable));
    assert_eq!(scene.depth().await, (2, 0, 0));
}

#[tokio::test]
async fn ready_fails_or_wakes_spuriously() {
    let scene = Scene::with(Faults::new(1)).await;
    let subscription = scene.faulty.subscribe(slice::from_ref(&scene.queue)).await.expect("subscribed");
    scene.faulty.fail_next(Operation::Ready, Side::Before, 1);
    assert_eq!(kind(subscription.ready(LONG).await), Some(ErrorKind::Unavailable));
    scene.faulty.fail_next(Operation::Ready, Side::After, 1);
    assert_eq!(subscription.ready(LONG).await.expect("woken"), slice::from_ref(&scene.queue));
    assert_eq!(subscription.ready(Duration::ZERO).await.expect("asked"), []);
}

#[tokio::test]
async fn dead_letter_retry_that_fails_after_was_done() {
    let scene = Scene::with(Faults::new(1).dead_letters(1.0).only(Side::After)).await;
    let delivery = scene.held().await;
    scene.settle(&delivery, &Outcome::Bury { error: "no".into() }).await.expect("buried");
    let dead = scene.faulty.dead_letters().expect("the toy has dead letters");
    // A list that was not seen is as good as one that was not made.
    assert_eq!(kind(dead.list(&scene.queue, None, 10).await), Some(ErrorKind::Unavailable));
    assert_eq!(kind(dead.retry_all(&scene.queue).await), Some(ErrorKind::OutcomeUnknown));
    assert_eq!(scene.depth().await, (1, 0, 0));
}

#[tokio::test]
async fn only_named_operations_fail() {
    let scene = Scene::with(Faults::new(3).settle(1.0)).await;
    let delivery = scene.held().await;
    scene.faulty.depth(&scene.queue).await.expect("depth is not named");
    scene.settle(&delivery, &Outcome::Done).await.expect_err("settle is named");
    assert_eq!(scene.faulty.injected_in_all(), 1);
}

#[tokio::test]
async fn calm_driver_fails_no_more_and_resumes_when_told() {
    let scene = Scene::with(Faults::everywhere(4, 1.0)).await;
    scene.faulty.calm();
    scene.push(1).await.remove(0).expect("stored");
    scene.faulty.resume();
    scene.push(1).await.remove(0).expect_err("injected");
}

#[tokio::test]
async fn driver_that_is_down_does_nothing() {
    let scene = Scene::with(Faults::new(5)).await;
    scene.faulty.down();
    assert_eq!(kind(scene.push(1).await.remove(0)), Some(ErrorKind::Unavailable));
    assert_eq!(kind(scene.faulty.depth(&scene.queue).await), Some(ErrorKind::Unavailable));
    scene.faulty.calm();
    assert_eq!(scene.depth().await, (0, 0, 0));
}

#[test]
fn same_seed_gives_same_faults_and_another_seed_others() {
    let of = |seed| {
        let faults = Faults::everywhere(seed, 0.3);
        let calls = (0..200).flat_map(|number| Operation::ALL.map(|operation| (operation, number)));
        calls.map(|(operation, number)| faults.of_call(operation, number)).collect::<Vec<_>>()
    };
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}

#[test]
fn faults_come_about_as_often_as_was_said_on_both_sides() {
    let faults = Faults::new(11).push(0.2);
    let sides: Vec<_> = (0..5_000).filter_map(|number| faults.of_call(Operation::Push, number)).collect();
    let before = sides.iter().filter(|side| **side == Side::Before).count();
    assert!((900..1_100).contains(&sides.len()), "{} of 5000", sides.len());
    assert!((400..600).contains(&before), "{before} before");
    assert!((0..5_000).all(|number| faults.of_call(Operation::Settle, number).is_none()));
}

/// The faults of one operation do not depend on what other operations do meanwhile.
#[tokio::test]
async fn operations_do_not_change_each_others_faults() {
    let mut answers = Vec::new();
    for looks in [0, 3] {
        let scene = Scene::with(Faults::everywhere(12, 0.5)).await;
        let mut kinds = Vec::new();
        for _ in 0..20 {
            for _ in 0..looks {
                let _ = scene.faulty.depth(&scene.queue).await;
            }
            kinds.push(kind(scene.push(1).await.remove(0)));
        }
        answers.push(kinds);
    }
    assert_eq!(answers[0], answers[1]);
}

/// A slow call waits before the inner one and after it, and can be dropped at either point.
#[tokio::test(start_paused = true)]
async fn slow_call_can_be_dropped_before_and_after_it_was_applied() {
    let longest = Duration::from_millis(40);
    let (mut before, mut after) = (0, 0);
    for seed in 0..30 {
        let scene = Scene::with(Faults::new(seed).slow(longest)).await;
        // A point that lies before the inner call for some seeds and behind it for others.
        let ended = tokio::time::timeout(longest / 2, scene.push(1)).await.is_ok();
        let stored = scene.depth().await.0 == 1;
        assert!(stored || !ended, "it was answered and not stored");
        before += u32::from(!stored);
        after += u32::from(stored && !ended);
    }
    assert!(before > 0 && after > 0, "{before} dropped before, {after} after");

    let scene = Scene::with(Faults::new(1).slow(LONG)).await;
    scene.faulty.calm();
    let began = tokio::time::Instant::now();
    scene.push(1).await.remove(0).expect("stored");
    assert_eq!(began.elapsed(), Duration::ZERO, "a calm driver is slow");
}

/// Faults in one queue strike no other, and none that is of no one queue.
#[tokio::test]
async fn faults_in_one_queue_strike_no_other() {
    let broken = QueueName::new("broken").expect("legal");
    let faults = Faults::everywhere(1, 1.0).only(Side::Before).in_queue(broken.clone());
    let mut scene = Scene::with(faults).await;
    scene.push(1).await.remove(0).expect("stored");
    assert_eq!(scene.reserve(&scene.faulty, LONG).await.expect("reserved").len(), 1);
    scene.faulty.check().await.expect("of no queue");
    scene.queue = broken;
    assert_eq!(kind(scene.push(1).await.remove(0)), Some(ErrorKind::Unavailable));
    assert_eq!(kind(scene.reserve(&scene.faulty, LONG).await), Some(ErrorKind::Unavailable));
}
