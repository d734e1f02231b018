//! A handler that blocks its thread, beside others on the same runtime.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use stream_core::{Consumer, Context, Event, Handlers};

use super::{Act, World, act};

const LONG: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_handler_that_blocks_its_thread_others_begin_end_and_keep_their_leases() {
    let world = World::new();
    let (free, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let noting = world.clone();
    let handlers = Handlers::new().register::<Act>(move |job: Act, _cx: Context| {
        let (world, blocked) = (noting.clone(), blocked.clone());
        async move {
            world.note(format!("run {}", job.0));
            match job.0.as_str() {
                "block" => {
                    let freed = blocked.lock().unwrap().recv_timeout(LONG);
                    world.note(format!("freed in time: {}", freed.is_ok()));
                }
                "long" => tokio::time::sleep(Duration::from_millis(700)).await,
                _ => {}
            }
            Ok(())
        }
    });
    let (noting, free) = (world.clone(), Mutex::new(free));
    let consumer = Consumer::builder(&world.queue, handlers)
        .workers(10)
        .lease(Duration::from_millis(200))
        .on_event(move |event| match event {
            Event::Settled { .. } => {
                noting.note("settled");
                // The warm-up, and all but the one that blocks.
                if noting.count("settled") == 30 + 9 {
                    free.lock().unwrap().send(()).unwrap();
                }
            }
            Event::LeaseLost { .. } => noting.note("lease lost"),
            _ => {}
        })
        .start()
        .await
        .unwrap();
    // Jobs of this name are known to give their thread back at once, until one does not.
    world.queue.push_many((0..30).map(|_| act("quick"))).await.unwrap();
    until(&world, "settled", 30).await;

    let behind = (0..8).map(|_| act("quick"));
    let jobs = [act("block"), act("long")].into_iter().chain(behind);
    world.queue.push_many(jobs).await.unwrap();
    until(&world, "settled", 40).await;

    assert_eq!(world.count("freed in time: true"), 1);
    assert_eq!((world.count("run block"), world.count("run long")), (1, 1));
    assert_eq!(world.count("lease lost"), 0);
    let stopped = consumer.shutdown().await.unwrap();
    assert_eq!((stopped.released, stopped.abandoned), (0, 0));
}

async fn until(world: &World, line: &str, count: usize) {
    let reached = async {
        while world.count(line) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(2 * LONG, reached).await.unwrap_or_else(|_| panic!("{:?}", world.noted()));
}
