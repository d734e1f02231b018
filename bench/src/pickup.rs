//! How long an idle worker takes to start a job, here or in a process of its own.

mod process;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use stream_core::{Consumer, Handlers, QueueName};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};

pub(crate) use process::work as work_in_this_process;

use crate::{
    job::Stamped,
    loads::{Plan, Session},
    report::{Figure, Unit},
    statistics::{percentile, ratios},
    target::{IdleWorker, RawLoop},
};

/// How long a worker is left alone before each push, so that it is idle.
const REST: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(10);
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("max", 100.0)];

/// A job that a worker has started: its number, and how long ago it was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picked {
    pub(crate) number: u64,
    pub(crate) latency_ns: u64,
}

/// One figure for each percentile.
pub(crate) async fn measure(session: &Session, plan: &Plan) -> Result<Vec<Figure>> {
    let (mut driver, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        driver.push(on_driver(session, plan.pickups).await?);
        if let Some(raw_loop) = session.raw().await? {
            raw.push(on_raw(raw_loop.into(), plan.pickups).await?);
        }
    }
    let figure = |(name, percent): (&str, f64)| {
        let each =
            |rounds: &[Vec<f64>]| rounds.iter().filter_map(|us| percentile(us, percent)).collect::<Vec<_>>();
        let (driver, raw) = (each(&driver), each(&raw));
        let figure = Figure::new(format!("pick-up by an idle worker, {name}"), Unit::Microseconds, &driver)?;
        Ok(figure.jobs(plan.pickups).raw(&raw, &ratios(&driver, &raw)))
    };
    PERCENTILES.into_iter().map(figure).collect()
}

/// The handlers of a worker that reports what it picks up.
pub(crate) fn handlers(report: impl Fn(Picked) + Send + Sync + 'static) -> Handlers {
    let report = Arc::new(report);
    Handlers::new().register::<Stamped>(move |job: Stamped, _| {
        let picked = Picked { number: job.number, latency_ns: job.age_ns() };
        report(picked);
        async { Ok(()) }
    })
}

async fn on_driver(session: &Session, jobs: usize) -> Result<Vec<f64>> {
    let queue = session.target.fresh_queue();
    let latencies = match session.target.idle_worker() {
        IdleWorker::SameProcess => {
            let (picked, picks) = unbounded_channel();
            let manager = &session.connection.manager;
            let handlers = handlers(move |one| send(&picked, one));
            let consumer = Consumer::builder(manager, handlers).queues([queue.as_str()]).start().await?;
            let latencies = push_and_wait(session, &queue, jobs, picks).await?;
            consumer.shutdown().await?;
            latencies
        }
        IdleWorker::OtherProcess => {
            let (worker, picks) = process::Worker::start(session, &queue).await?;
            let latencies = push_and_wait(session, &queue, jobs, picks).await?;
            worker.stop()?;
            latencies
        }
    };
    session.assert_empty(&queue).await?;
    Ok(latencies)
}

/// Pushes one job after the other, each to a worker that has nothing to do.
async fn push_and_wait(
    session: &Session,
    queue: &QueueName,
    jobs: usize,
    mut picks: UnboundedReceiver<Picked>,
) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(jobs);
    for number in 0..jobs as u64 {
        sleep(REST).await;
        session.connection.manager.push(Stamped::now(number)).on_queue(queue).await?;
        latencies.push(next(&mut picks, number).await?);
    }
    sleep(REST).await;
    ensure!(picks.try_recv().is_err(), "not exact: a job was started twice");
    Ok(latencies)
}

async fn on_raw(raw: Arc<dyn RawLoop>, jobs: usize) -> Result<Vec<f64>> {
    let (picked, mut picks) = unbounded_channel();
    let idle = raw.clone();
    let worker = tokio::spawn(async move {
        for _ in 0..jobs {
            let bytes = idle.next().await?;
            let job: Stamped = serde_json::from_slice(&bytes)?;
            send(&picked, Picked { number: job.number, latency_ns: job.age_ns() });
        }
        anyhow::Ok(())
    });
    let mut latencies = Vec::with_capacity(jobs);
    for number in 0..jobs as u64 {
        sleep(REST).await;
        let bytes = serde_json::to_vec(&Stamped::now(number))?;
        raw.push_one(bytes).await?;
        latencies.push(next(&mut picks, number).await?);
    }
    worker.await??;
    Ok(latencies)
}

/// The microseconds of the pick that must come next.
async fn next(picks: &mut UnboundedReceiver<Picked>, number: u64) -> Result<f64> {
    let picked = timeout(PATIENCE, picks.recv()).await.context("an idle worker did not start a job")?;
    let picked = picked.context("the worker has ended")?;
    ensure!(picked.number == number, "not exact: job {} was started instead of {number}", picked.number);
    Ok(picked.latency_ns as f64 / 1e3)
}

fn send(to: &UnboundedSender<Picked>, picked: Picked) {
    // Nobody listens any more when a measurement has failed: the failure is reported.
    let _ = to.send(picked);
}
