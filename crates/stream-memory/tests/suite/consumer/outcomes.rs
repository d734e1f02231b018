//! What becomes of a job that ran, or could not be run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stream_core::{
    Consumer, Context, Draft, Handler, Handlers, Job, JobError, JobResult, Next, QueueManager, SelfHandling,
};

use super::{Act, World, act};

#[tokio::test(start_paused = true)]
async fn a_job_is_run_once_and_done() {
    let world = World::new();
    world.queue.push(act("work")).await.unwrap();

    let drained = world.consumer().drain().await.unwrap();

    assert_eq!(world.noted(), ["run work 1", "done"]);
    assert_eq!((drained.done, drained.retried, drained.buried, drained.released), (1, 0, 0, 0));
    assert_eq!(world.queue.size("default").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_is_retried_after_its_backoff() {
    let world = World::new();
    world.queue.push(act("fail once")).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.noted(), ["run fail once 1", "retry 10", "run fail once 2", "done"]);
    assert_eq!(world.now(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_drain_leaves_retries_and_delayed_jobs() {
    let world = World::new();
    world.queue.push(act("fail once")).await.unwrap();
    world.queue.push(act("later")).delay(Duration::from_secs(60)).await.unwrap();

    let drained = world.consumer().drain().await.unwrap();

    assert_eq!(drained.retried, 1);
    assert_eq!(world.queue.size("default").await.unwrap(), 2);
    assert_eq!(world.now(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_buried_with_its_last_error_when_its_attempts_end() {
    let world = World::new();
    world.queue.push(act("fail")).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.count("retry 10"), 2);
    assert_eq!(world.count("buried"), 1);
    assert_eq!(world.dead().await, ["no luck"]);
}

#[tokio::test(start_paused = true)]
async fn verdicts_are_kept() {
    let world = World::new();
    for what in ["bury", "retry in an hour"] {
        world.queue.push(act(what)).await.unwrap();
    }

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.dead().await, ["hopeless"]);
    assert_eq!(world.count("retry 3600"), 1);
    assert_eq!(world.count("run retry in an hour 2"), 1);
    assert_eq!(world.now(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_released_job_counts_no_attempt() {
    #[derive(Serialize, Deserialize)]
    struct Later;
    impl Job for Later {
        const NAME: &'static str = "later";
        const MAX_ATTEMPTS: u32 = 1;
    }
    let world = World::new();
    world.queue.push(Later).await.unwrap();
    let seen = world.clone();
    let handlers = Handlers::new().register::<Later>(move |_: Later, cx: Context| {
        let seen = seen.clone();
        async move {
            seen.note(format!("attempt {}", cx.attempt()));
            match seen.count("attempt 1") {
                1 | 2 => Err(JobError::release_after(Duration::from_secs(7))),
                _ => Ok(()),
            }
        }
    });

    let drained = Consumer::builder(&world.queue, handlers).drain_all().await.unwrap();

    assert_eq!(world.noted(), ["attempt 1"; 3]);
    assert_eq!((drained.released, drained.done, world.now()), (2, 1, 14));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_with_its_message_and_the_others_go_on() {
    let world = World::new();
    world.queue.push(act("panic")).max_attempts(1).await.unwrap();
    world.queue.push(act("work")).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.dead().await, ["panicked: at the disco"]);
    assert_eq!(world.count("done"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_beyond_its_timeout_is_dropped_and_has_failed() {
    let world = World::new();
    let limit = Duration::from_secs(5);
    world.queue.push(act("for ever")).max_attempts(1).timeout(limit).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.dead().await, ["timed out after 5s"]);
    assert_eq!(world.now(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_not_the_jobs_is_buried_with_the_reason() {
    let world = World::new();
    world.queue.push(Draft::named("act", &17)).await.unwrap();
    world.queue.push(act("work")).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    let dead = world.dead().await;
    assert!(dead[0].contains("the payload of `act` does not fit its type"), "{dead:?}");
    assert_eq!(world.now(), 0, "it was tried again");
    assert_eq!(world.noted().iter().filter(|line| line.starts_with("run")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_payload_is_never_quoted_in_an_error() {
    #[derive(Debug, Serialize, Deserialize)]
    enum Kind {
        Known,
    }
    let world = World::new();
    world.queue.push(Draft::named("kind", "hunter2")).max_attempts(1).await.unwrap();
    world.queue.push(Draft::named("act", "hunter2, expected hunter2")).await.unwrap();
    world.queue.push(Draft::named("act", &("hunter2", 7))).await.unwrap();
    let handlers = world.handlers().register_named("kind", async |_: Kind, _: Context| JobResult::Ok(()));

    Consumer::builder(&world.queue, handlers).drain_all().await.unwrap();

    let dead = world.dead().await;
    assert_eq!(dead.len(), 2, "the newtype of a string takes any string: {dead:?}");
    assert!(
        dead.iter().all(|error| !error.contains("hunter2") && error.contains("core: decode failed")),
        "{dead:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_envelope_are_buried_and_the_jobs_beside_them_run() {
    let world = World::new();
    let name = stream_core::QueueName::new("default").unwrap();
    world.driver.push_bytes(&name, b"what is this".to_vec()).unwrap();
    world.queue.push(act("work")).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    assert!(world.dead().await[0].starts_with("undecodable: not a MessagePack map"));
    assert_eq!(world.count("unrun buried"), 1);
    assert_eq!(world.count("done"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_handler_waits_a_minute_and_may_find_one_then() {
    let world = World::new();
    world.queue.push(act("work")).await.unwrap();
    let nobody = Consumer::builder(&world.queue, Handlers::new());
    assert_eq!(nobody.drain().await.unwrap().retried, 1);

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.noted(), ["run work 2", "done"]);
    assert!((60..=66).contains(&world.now()), "{}", world.now());
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_handler_is_buried_where_that_is_set() {
    let world = World::new();
    world.queue.push(act("work")).await.unwrap();
    let nobody = Consumer::builder(&world.queue, Handlers::new()).bury_unhandled();
    nobody.drain().await.unwrap();
    assert_eq!(world.dead().await, ["no handler is registered for `act`"]);
}

struct Burying(World);

impl Handler<Act> for Burying {
    async fn handle(&self, job: Act, _cx: Context) -> JobResult {
        Err(JobError::bury(job.0))
    }

    async fn failed(&self, job: Act, error: &JobError, cx: Context) {
        self.0.note(format!(
            "failed {} {error} {}",
            job.0,
            self.0.queue.dead_letters("default").count().await.unwrap()
        ));
        assert_eq!(cx.attempt(), 1);
        panic!("this harms nobody");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_is_called_once_after_the_burial_and_its_panic_harms_nobody() {
    let world = World::new();
    world.queue.push(act("x")).await.unwrap();
    let handlers = Handlers::new().register::<Act>(Burying(world.clone()));

    Consumer::builder(&world.queue, handlers.clone()).drain_all().await.unwrap();
    Consumer::builder(&world.queue, handlers).drain_all().await.unwrap();

    assert_eq!(world.noted(), ["failed x x 1"]);
}

#[tokio::test(start_paused = true)]
async fn middleware_wraps_the_handlers_of_its_own_registry_also_after_a_merge() {
    #[derive(Serialize, Deserialize)]
    struct Other;
    impl Job for Other {
        const NAME: &'static str = "other";
    }
    impl SelfHandling for Other {
        async fn handle(self, _cx: Context) -> JobResult {
            Ok(())
        }
    }
    let world = World::new();
    let layer = |world: &World, name: &'static str| {
        let world = world.clone();
        move |cx: Context, next: Next| {
            let world = world.clone();
            async move {
                world.note(format!("{name} around {}", cx.envelope().name));
                next.run(cx).await
            }
        }
    };
    let other = Handlers::new().register_job::<Other>().middleware(layer(&world, "inner"));
    let handlers = world.handlers().middleware(layer(&world, "first")).middleware(layer(&world, "second"));
    let merged = handlers.merge(other).merge(Handlers::new());
    world.queue.push(act("work")).await.unwrap();
    world.queue.push(Other).await.unwrap();

    Consumer::builder(&world.queue, merged).workers(1).drain_all().await.unwrap();

    assert_eq!(world.noted(), ["first around act", "second around act", "run work 1", "inner around other"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_push_follow_up_jobs_and_be_tested_alone() {
    async fn doubled(job: Act, cx: Context) -> JobResult {
        cx.push(Act(job.0.repeat(2))).await?;
        Ok(())
    }
    let world = World::new();
    let cx = Context::for_test(&world.queue, act("x")).with_attempt(3);
    assert!(cx.is_last_attempt() && !cx.is_cancelled());

    doubled(act("x"), cx.with_cancellation()).await.unwrap();

    let job = world.queue.pop("default").await.unwrap().unwrap();
    assert_eq!(job.decode::<Act>().unwrap().0, "xx");
    job.complete().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_job_is_run_again_until_it_was_lost_too_often() {
    let world = World::new();
    world.queue.push(act("work")).await.unwrap();
    for lost in 0..5 {
        let taken = world.queue.pop("default").await.unwrap();
        assert!(taken.is_some(), "lost {lost} times");
        // The process dies: nothing is settled, the lease ends.
        std::mem::forget(taken);
        tokio::time::advance(Duration::from_secs(31)).await;
    }

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.noted(), ["unrun buried"]);
    assert!(world.dead().await[0].starts_with("lost 5 times"));
}

/// For the doc's sake: a manager is all that a producer needs.
#[tokio::test(start_paused = true)]
async fn jobs_can_be_pushed_and_handled_by_name_alone() {
    let queue = QueueManager::new(stream_memory::MemoryDriver::new());
    queue.push(Draft::named("resize", &("cat.png", 640))).await.unwrap();
    let handlers =
        Handlers::new().register_named("resize", async |(file, width): (String, u32), _cx: Context| {
            assert_eq!((file.as_str(), width), ("cat.png", 640));
            JobResult::Ok(())
        });
    assert_eq!(Consumer::builder(&queue, handlers).drain().await.unwrap().done, 1);
}

#[tokio::test(start_paused = true)]
async fn failed_is_not_called_for_a_retry() {
    struct Retrying(World);
    impl Handler<Act> for Retrying {
        async fn handle(&self, _job: Act, _cx: Context) -> JobResult {
            Err("again".into())
        }
        async fn failed(&self, _job: Act, error: &JobError, cx: Context) {
            self.0.note(format!("failed {error} {}", cx.attempt()));
        }
    }
    let world = World::new();
    world.queue.push(act("x")).await.unwrap();
    let handlers = Handlers::new().register::<Act>(Retrying(world.clone()));
    Consumer::builder(&world.queue, handlers).drain_all().await.unwrap();
    assert_eq!(world.noted(), ["failed again 3"]);
}

/// An error of the user that is hostile to whoever shows or drops it.
#[derive(Debug)]
struct Hostile {
    panics_when: &'static str,
}

impl std::fmt::Display for Hostile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        assert!(self.panics_when != "shown", "shown");
        f.write_str("hostile")
    }
}

impl std::error::Error for Hostile {}

impl Drop for Hostile {
    fn drop(&mut self) {
        assert!(self.panics_when != "dropped", "dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_shown_or_dropped_is_a_counted_failure_and_harms_nobody() {
    for panics_when in ["shown", "dropped"] {
        let world = World::new();
        world.queue.push(Draft::named("hostile", &())).max_attempts(3).await.unwrap();
        world.queue.push(act("work")).delay(Duration::from_secs(600)).await.unwrap();
        let hostile = async move |(): (), _: Context| JobResult::Err(Hostile { panics_when }.into());
        let handlers = world.handlers().register_named("hostile", hostile);

        let drained = Consumer::builder(&world.queue, handlers).drain_all().await.unwrap();

        assert_eq!((drained.retried, drained.buried, drained.done), (2, 1, 1), "{panics_when}");
    }
}
