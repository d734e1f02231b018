//! What a job's span carries.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use stream_core::Draft;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::{World, act};

/// Keeps the fields of all spans as text.
#[derive(Debug, Clone, Default)]
struct Spans {
    fields: Arc<Mutex<Vec<String>>>,
    ids: Arc<AtomicU64>,
}

impl Visit for Spans {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1 + self.ids.fetch_add(1, Ordering::Relaxed))
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Until the fields of some span are there.
///
/// Another test's thread that meets the span for the first time, just while the subscriber is set, notes
/// that nobody listens: then what listens is asked again.
async fn fields(spans: &Spans, world: &World, job: &Draft) -> Vec<String> {
    for _ in 0..100 {
        world.queue.push(job.clone()).await.unwrap();
        world.consumer().drain().await.unwrap();
        let fields = spans.fields.lock().unwrap().clone();
        if !fields.is_empty() {
            return fields;
        }
        tracing::callsite::rebuild_interest_cache();
    }
    panic!("jobs have no span");
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_job_carries_its_name_and_the_traceparent_of_its_push() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let job = Draft::new(act("x")).header("traceparent", parent);

    let fields = fields(&spans, &World::new(), &job).await;

    for expected in [format!("traceparent={parent:?}"), "name=act".into(), "attempt=1".into()] {
        assert!(fields.contains(&expected), "{expected} is not in {fields:?}");
    }
}
