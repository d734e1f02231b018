//! How a program tests its jobs: what it pushes, what a handler does, and a whole hour in no time.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use stream_core::{
    Consumer, Context, Draft, Handler, Handlers, Job, JobError, JobResult, Priority, QueueManager, Result,
};
use stream_memory::MemoryDriver;
use stream_testkit::recording::Recording;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Confirm {
    order: u32,
}

impl Job for Confirm {
    const NAME: &'static str = "confirm";
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct AskForReview {
    order: u32,
}

impl Job for AskForReview {
    const NAME: &'static str = "ask_for_review";
}

/// The code under test: an order is confirmed at once, a review is asked for an hour later.
async fn take_order(queue: &QueueManager, order: u32) -> Result<()> {
    queue.push(Confirm { order }).on_queue("emails").with_priority(Priority::High).await?;
    queue.push(AskForReview { order }).on_queue("emails").delay(HOUR).await?;
    Ok(())
}

struct Mailer;

impl Handler<Confirm> for Mailer {
    async fn handle(&self, job: Confirm, cx: Context) -> JobResult {
        match job.order {
            0 if cx.is_last_attempt() => Err(JobError::bury("there is no such order")),
            0 => Err(JobError::retry("the order is not there yet")),
            _ => Ok(()),
        }
    }
}

impl Handler<AskForReview> for Mailer {
    async fn handle(&self, _: AskForReview, _: Context) -> JobResult {
        Ok(())
    }
}

fn recorded() -> (QueueManager, Recording) {
    let pushes = Recording::new(Arc::new(MemoryDriver::new()));
    (QueueManager::new(pushes.clone()), pushes)
}

#[tokio::test]
async fn an_order_pushes_its_confirmation_and_a_later_question() -> Result<()> {
    let (queue, pushes) = recorded();
    take_order(&queue, 7).await?;
    let urgent = pushes.of::<Confirm>().on_queue("emails").with_priority(Priority::High);
    assert_eq!(urgent.one(), Confirm { order: 7 });
    assert_eq!(pushes.of::<AskForReview>().delayed_by(HOUR).one(), AskForReview { order: 7 });
    pushes.of::<AskForReview>().matching(|job| job.order != 7).none();
    assert_eq!(pushes.count(), 2);
    Ok(())
}

#[tokio::test]
async fn a_push_by_name_is_found_by_its_group_key_and_headers() -> Result<()> {
    let (queue, pushes) = recorded();
    let resize = |file: &str| Draft::named("resize", &(file, 640));
    queue.push(resize("cat.png").group("cats").unique("cat.png").header("tenant", "7")).await?;
    queue.push(resize("dog.png").group("dogs").header("tenant", "8")).await?;
    queue.push(Draft::raw("scan", vec![1, 2])).await?;

    let resized = || pushes.named::<(String, u32)>("resize");
    for cats in [
        resized().in_group("cats"),
        resized().with_unique_key("cat.png"),
        resized().with_header("tenant", "7"),
    ] {
        assert_eq!(cats.one(), ("cat.png".into(), 640));
    }
    resized().with_header("tenant", "9").none();
    resized().with_header("region", "7").none();
    assert_eq!(resized().times(2).len(), 2);
    assert_eq!(pushes.raw("scan").one(), [1, 2]);
    Ok(())
}

#[tokio::test]
#[should_panic(
    expected = "instead of 1 jobs were pushed: asked for resize in the group asked for with the header tenant asked for\n  pushed"
)]
async fn a_failed_assertion_shows_neither_keys_nor_headers() {
    let (queue, pushes) = recorded();
    queue.push(Draft::named("resize", &1).group("cats").header("tenant", "secret")).await.unwrap();
    pushes.named::<u8>("resize").in_group("dogs").with_header("tenant", "secret").one();
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_worked_until_empty_and_an_hour_passes_at_once() -> Result<()> {
    let (queue, _) = recorded();
    let begun = Instant::now();
    take_order(&queue, 7).await?;
    let mailer = Arc::new(Mailer);
    let handlers = Handlers::new().register::<Confirm>(mailer.clone()).register::<AskForReview>(mailer);
    let drained = Consumer::builder(&queue, handlers).queues(["emails"]).drain_all().await?;
    assert_eq!((drained.done, drained.buried), (2, 0));
    assert!(begun.elapsed() >= HOUR, "the review was asked for early");
    Ok(())
}

#[tokio::test]
async fn a_handler_gives_up_in_its_last_attempt() {
    let (queue, _) = recorded();
    let cx = Context::for_test(&queue, Confirm { order: 0 });
    let last = cx.envelope().max_attempts;
    let error = Mailer.handle(Confirm { order: 0 }, cx.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), "the order is not there yet");
    let error = Mailer.handle(Confirm { order: 0 }, cx.with_attempt(last)).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no such order");
}

#[tokio::test]
#[should_panic(
    expected = "0 instead of 1 jobs were pushed: asked for confirm on queue letters\n  pushed beside it: on queue emails"
)]
async fn a_missing_push_is_told_with_what_was_pushed_in_its_place() {
    let (queue, pushes) = recorded();
    queue.push(Confirm { order: 7 }).on_queue("emails").await.unwrap();
    pushes.of::<Confirm>().on_queue("letters").one();
}

#[tokio::test]
async fn what_was_not_stored_was_not_pushed() {
    let (queue, pushes) = recorded();
    let draft = queue.push(Confirm { order: 7 });
    draft.clone().await.unwrap();
    draft.await.unwrap();
    queue.close().await.unwrap();
    queue.push(Confirm { order: 8 }).await.unwrap_err();
    assert_eq!(pushes.of::<Confirm>().one(), Confirm { order: 7 });
    pushes.forget();
    pushes.of::<Confirm>().none();
}
