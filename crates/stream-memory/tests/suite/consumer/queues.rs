//! Many queues, one pool of slots: fair, strict, weighted, limited; nobody starves.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stream_core::{Consumer, Context, Event, Job, JobResult, Priority, RateLimit};

use super::{World, act};

impl World {
    /// The queues of the jobs that were started, in that order.
    async fn order(&self, builder: stream_core::ConsumerBuilder) -> Vec<String> {
        let seen = World::new();
        let noting = seen.clone();
        let builder = builder.on_event(move |event| {
            if let Event::Started { cx } = event {
                noting.note(cx.queue().as_str());
            }
        });
        builder.drain_all().await.unwrap();
        seen.noted()
    }
}

async fn filled(queues: &[&str], each: usize) -> World {
    let world = World::new();
    for queue in queues {
        for _ in 0..each {
            world.queue.push(act("work")).on_queue(queue).await.unwrap();
        }
    }
    world
}

#[tokio::test(start_paused = true)]
async fn queues_take_turns_by_default() {
    let world = filled(&["a", "b", "c"], 10).await;
    let order = world.order(world.consumer().queues(["a", "b", "c"]).workers(1)).await;
    assert_eq!(order.len(), 30);
    assert!(
        order.chunks(3).all(|three| ["a", "b", "c"].iter().all(|name| three.contains(&name.to_string())))
    );
}

#[tokio::test(start_paused = true)]
async fn the_queues_of_the_registered_job_types_are_worked_by_default() {
    #[derive(Serialize, Deserialize)]
    struct Picture;
    impl Job for Picture {
        const NAME: &'static str = "picture";
        const QUEUE: &'static str = "pictures";
    }
    let world = World::new();
    world.queue.push(Picture).await.unwrap();
    world.queue.push(act("work")).await.unwrap();
    let handlers = world.handlers().register::<Picture>(async |_: Picture, _: Context| JobResult::Ok(()));
    assert_eq!(Consumer::builder(&world.queue, handlers).drain().await.unwrap().done, 2);
}

#[tokio::test(start_paused = true)]
async fn in_strict_order_the_first_queue_is_emptied_first() {
    let world = filled(&["a", "b"], 5).await;
    let order = world.order(world.consumer().queues(["b", "a"]).strict_order().workers(1)).await;
    assert_eq!(order, ["b", "b", "b", "b", "b", "a", "a", "a", "a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_weight_is_a_share() {
    let world = filled(&["a", "b"], 30).await;
    let order = world.order(world.consumer().queues(["a", "b"]).weight("a", 3).workers(1)).await;
    assert_eq!(order[..20].iter().filter(|queue| *queue == "a").count(), 15);
}

#[tokio::test(start_paused = true)]
async fn more_urgent_jobs_start_first() {
    let world = World::new();
    for priority in [Priority::Low, Priority::Default, Priority::High, Priority::Critical] {
        world.queue.push(act(priority.as_str())).with_priority(priority).await.unwrap();
    }
    world.consumer().workers(1).drain().await.unwrap();
    let started: Vec<_> = world.noted().into_iter().filter(|line| line.starts_with("run")).collect();
    assert_eq!(started, ["run critical 1", "run high 1", "run default 1", "run low 1"]);
}

#[tokio::test(start_paused = true)]
async fn one_slot_finds_the_job_on_the_last_of_twenty_queues() {
    let world = World::new();
    let queues: Vec<_> = (0..20).map(|number| format!("q{number}")).collect();
    let consumer = world.consumer().queues(&queues).workers(1).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;

    world.queue.push(act("work")).on_queue("q19").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;

    assert_eq!(world.count("done"), 1);
    let before = tokio::time::Instant::now();
    consumer.shutdown().await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_busy_queue_does_not_hide_a_push_to_another() {
    let world = filled(&["busy"], 1_000).await;
    for _ in 0..1_000 {
        world.queue.push(act("a second")).on_queue("busy").await.unwrap();
    }
    let consumer = world.consumer().queues(["busy", "calm"]).workers(2).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let job = act("calm one");
    world.queue.push(job).on_queue("calm").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.count("run calm one 1"), 1);
    drop(consumer);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds_and_does_not_hold_back_other_queues() {
    let world = filled(&["limited"], 25).await;
    for _ in 0..25 {
        world.queue.push(act("free")).on_queue("free").await.unwrap();
    }
    let consumer = world.consumer().queues(["limited", "free"]).workers(4);
    let consumer =
        consumer.rate_limit("limited", RateLimit::new(10, Duration::from_secs(60))).start().await.unwrap();

    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!((world.count("run work 1"), world.count("run free 1")), (10, 25));
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(world.count("run work 1"), 20);
    consumer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_hoards_nothing_while_another_idles() {
    let world = World::new();
    let busy = world.consumer().workers(1).start().await.unwrap();
    world.queue.push(act("until cancelled")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..20 {
        world.queue.push(act("work")).await.unwrap();
    }
    world.consumer().workers(1).drain().await.unwrap();
    assert_eq!(world.count("run work 1"), 20);
    busy.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_suspects_only_one_runs_at_a_time() {
    let world = World::new();
    // Longer than suspects are put back for.
    for _ in 0..3 {
        world.queue.push(act("two seconds")).await.unwrap();
    }
    for _ in 0..2 {
        let taken = world.queue.reserve("default", stream_core::Reserve::new(3)).await.unwrap();
        assert_eq!(taken.len(), 3);
        std::mem::forget(taken);
        tokio::time::advance(Duration::from_secs(31)).await;
    }
    // Running now, and most at a time: a panic of the listener would harm nobody.
    let counts = std::sync::Arc::new(std::sync::Mutex::new((0, 0)));
    let counted = counts.clone();
    let consumer = world.consumer().on_event(move |event| {
        let (running, most) = &mut *counted.lock().unwrap();
        match event {
            Event::Started { .. } => *running += 1,
            Event::Settled { .. } => *running -= 1,
            _ => {}
        }
        *most = (*running).max(*most);
    });
    let drained = consumer.drain_all().await.unwrap();
    assert_eq!(counts.lock().unwrap().1, 1, "suspects ran at the same time");
    assert_eq!(drained.done, 3);
    assert!(drained.released >= 2, "the other two were put back");
}
