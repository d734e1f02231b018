//! What is said of leases that are extended late.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{advance, sleep};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::{World, act};

const LEASE: Duration = Duration::from_secs(30);

/// Keeps the messages of all warnings.
#[derive(Debug, Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn of_late_leases(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|message| message.contains("extended late")).count()
    }
}

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        *of.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Lets nothing run while two thirds of a lease pass, as a blocked runtime does, just behind a heartbeat.
async fn block() {
    advance(LEASE * 2 / 3 + Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_heartbeat_is_warned_about_once() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let world = World::new();
    for _ in 0..20 {
        world.queue.push(act("until cancelled")).await.unwrap();
    }
    let consumer = world.consumer().workers(20).lease(LEASE).start().await.unwrap();
    sleep(LEASE * 10).await;
    assert_eq!(warnings.of_late_leases(), 0, "it was never late");

    // Another test's thread that warns for the first time, just while the subscriber is set, notes that
    // nobody listens: then the next delay is waited for.
    for _ in 0..100 {
        block().await;
        sleep(LEASE * 10).await;
        if warnings.of_late_leases() > 0 {
            break;
        }
        tracing::callsite::rebuild_interest_cache();
    }

    assert_eq!(warnings.of_late_leases(), 1, "for twenty jobs and one delay");
    consumer.shutdown().await.unwrap();
    assert_eq!((world.count("done"), world.count("lease lost")), (20, 0));
}
