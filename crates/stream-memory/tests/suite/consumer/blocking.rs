//! Handlers that block their threads, beside others on the same runtime.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use stream_core::{Consumer, Context, Event, Handlers};

use super::{Act, World, act};

const LONG: Duration = Duration::from_secs(10);
/// So many quick jobs in a row that the next ones are begun where others wait behind them.
const WARM_UP: usize = 30;

/// What blocks the jobs `block`, until it is opened.
#[derive(Debug, Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, is_open: bool) {
        *self.is_open.lock().unwrap() = is_open;
        self.opened.notify_all();
    }

    /// Blocks the thread; says whether it was freed in time.
    fn pass(&self) -> bool {
        let closed = self.is_open.lock().unwrap();
        !self.opened.wait_timeout_while(closed, LONG, |is_open| !*is_open).unwrap().1.timed_out()
    }
}

/// A consumer whose jobs may block, and are known to be quick.
async fn warm(world: &World, gate: &Arc<Gate>) -> Consumer {
    let (noting, gate) = (world.clone(), gate.clone());
    let handlers = Handlers::new().register::<Act>(move |job: Act, _cx: Context| {
        let (world, gate) = (noting.clone(), gate.clone());
        async move {
            world.note(format!("run {}", job.0));
            match job.0.as_str() {
                "block" => world.note(format!("freed in time: {}", gate.pass())),
                "long" => tokio::time::sleep(Duration::from_millis(700)).await,
                _ => {}
            }
            Ok(())
        }
    });
    let noting = world.clone();
    let consumer = Consumer::builder(&world.queue, handlers)
        .workers(10)
        .lease(Duration::from_millis(200))
        .on_event(move |event| match event {
            Event::Settled { .. } => noting.note("settled"),
            Event::LeaseLost { .. } => noting.note("lease lost"),
            _ => {}
        })
        .start()
        .await
        .unwrap();
    warm_up(world).await;
    consumer
}

async fn warm_up(world: &World) {
    let before = world.count("settled");
    world.queue.push_many((0..WARM_UP).map(|_| act("quick"))).await.unwrap();
    until_settled(world, before + WARM_UP).await;
}

async fn until_settled(world: &World, count: usize) {
    let reached = async {
        while world.count("settled") < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(2 * LONG, reached).await.unwrap_or_else(|_| panic!("{:?}", world.noted()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_handler_that_blocks_its_thread_others_begin_end_and_keep_their_leases() {
    let (world, gate) = (World::new(), Arc::default());
    let consumer = warm(&world, &gate).await;

    let behind = (0..8).map(|_| act("quick"));
    let jobs = [act("block"), act("long")].into_iter().chain(behind);
    world.queue.push_many(jobs).await.unwrap();
    until_settled(&world, WARM_UP + 9).await;
    gate.set(true);
    until_settled(&world, WARM_UP + 10).await;

    assert_eq!(world.count("freed in time: true"), 1);
    assert_eq!((world.count("run block"), world.count("run long")), (1, 1));
    assert_eq!(world.count("lease lost"), 0);
    let stopped = consumer.shutdown().await.unwrap();
    assert_eq!((stopped.released, stopped.abandoned), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_one_thread_is_free_jobs_behind_those_that_block_are_begun() {
    let (world, gate) = (World::new(), Arc::default());
    let consumer = warm(&world, &gate).await;

    let jobs = ["block", "block", "block", "quick"];
    world.queue.push_many(jobs.map(act)).await.unwrap();
    until_settled(&world, WARM_UP + 1).await;
    gate.set(true);
    until_settled(&world, WARM_UP + 4).await;

    assert_eq!(world.count("freed in time: true"), 3);
    consumer.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_does_not_wait_for_a_handler_that_blocks_the_thread_it_came_from() {
    let (world, gate) = (World::new(), Arc::<Gate>::default());
    let consumer = warm(&world, &gate).await;

    // Which thread takes which job is chance.
    for round in 1..=10 {
        gate.set(false);
        let before = world.count("settled");
        world.queue.push_many(["quick", "block"].map(act)).await.unwrap();
        until_settled(&world, before + 1).await;
        gate.set(true);
        until_settled(&world, before + 2).await;
        assert_eq!(world.count("freed in time: true"), round);
        warm_up(&world).await;
    }
    consumer.shutdown().await.unwrap();
}
