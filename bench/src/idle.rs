//! What is used without work: CPU, memory and requests of an idle worker, memory of a waiting job.

use std::time::Duration;

use anyhow::{Result, ensure};
use stream_core::{Consumer, Handlers};
use tokio::time::sleep;

use crate::{
    job::{Kind, new_jobs},
    loads::{Plan, Session, fill},
    report::{Figure, Unit},
    usage::{Stopwatch, resident},
};

/// The name of the figure that a promise is judged by.
pub(crate) const CPU: &str = "idle worker, CPU";

/// A consumer of one empty queue with its default settings.
pub(crate) async fn worker(session: &Session, plan: &Plan) -> Result<Vec<Figure>> {
    const SETTLES: Duration = Duration::from_millis(500);
    let queue = session.target.fresh_queue();
    let builder = Consumer::builder(&session.connection.manager, Handlers::new());
    let consumer = builder.queues([queue.as_str()]).start().await?;
    sleep(SETTLES).await;
    let requests_before = session.target.requests().await?;
    let watch = Stopwatch::start()?;
    sleep(plan.idle).await;
    let round = watch.stop(0)?;
    let requests_after = session.target.requests().await?;
    let percent = round.cpu.as_secs_f64() / round.elapsed.as_secs_f64() * 100.0;
    let over = format!("over {:.0} s", round.elapsed.as_secs_f64());
    let mut figures = vec![
        Figure::new(CPU, Unit::Percent, &[percent])?.note(over.clone()),
        Figure::new("idle worker, resident memory", Unit::Bytes, &[resident()? as f64])?
            .note("of this program"),
    ];
    if let (Some(before), Some(after)) = (requests_before, requests_after) {
        let per_minute = after.saturating_sub(before) as f64 * 60.0 / round.elapsed.as_secs_f64();
        figures.push(Figure::new("idle worker, requests", Unit::PerMinute, &[per_minute])?.note(over));
    }
    consumer.shutdown().await?;
    session.target.forget(&queue).await?;
    Ok(figures)
}

/// What this process grows by for each job that waits; of a store with a server that is not the job.
pub(crate) async fn waiting_job(session: &Session, plan: &Plan) -> Result<Figure> {
    const BATCH: usize = 1_000;
    let queue = session.target.fresh_queue();
    let before = resident()?;
    for _ in 0..plan.jobs_max / BATCH {
        fill(session, &queue, &new_jobs(&queue, BATCH, Kind::NoOp)?).await?;
    }
    let jobs = plan.jobs_max / BATCH * BATCH;
    let grown = resident()?.saturating_sub(before) as f64 / jobs as f64;
    let cleared = session.connection.driver.clear(&queue).await?;
    let is_all = cleared.waiting.is_none_or(|cleared| cleared == jobs as u64);
    ensure!(is_all, "not exact: {jobs} jobs were pushed and {cleared:?}");
    session.assert_empty(&queue).await?;
    Ok(Figure::new("waiting job, resident memory", Unit::Bytes, &[grown])?.jobs(jobs))
}
