//! What a reserve costs while many jobs wait.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use stream_core::{Delivery, JobId, Outcome, QueueName, Reserve, Settlement, Subscription};

use crate::{
    exact::same,
    job::{Kind, new_jobs},
    loads::{Plan, Session, fill},
    report::{Figure, Unit},
    statistics::ratios,
    target::{RawLoop, Shape},
};

/// Taken one by one and pushed again behind all others, so that the backlog keeps its length.
const VISIT: usize = 100;
/// Jobs that are made at once, so that the program's own memory stays small beside the backlog.
const MADE_AT_ONCE: usize = 10_000;

/// Reserves of one job at each length, the driver's beside the raw loop's.
pub(crate) async fn measure(session: &Session, plan: &Plan) -> Result<Vec<Figure>> {
    let mut driver = Backlog::open(session).await?;
    let raw = session.raw().await?;
    let (mut figures, mut shortest, mut raw_jobs) = (Vec::<Figure>::new(), None, 0);
    for &length in plan.backlogs {
        driver.grow(length).await?;
        let (mut driver_us, mut raw_us) = (Vec::new(), Vec::new());
        if let Some(raw) = &raw {
            raw.push(raw_jobs..length as u64, Shape { tasks: 1, batch: MADE_AT_ONCE }).await?;
            raw_jobs = length as u64;
        }
        for _ in 0..plan.rounds {
            driver_us.push(driver.round(plan.round).await?);
            if let Some(raw) = &raw {
                raw_us.push(raw_round(&**raw, plan.round).await?);
            }
        }
        let figure = Figure::new(format!("reserve at {length} waiting"), Unit::Microseconds, &driver_us)?
            .raw(&raw_us, &ratios(&driver_us, &raw_us));
        let median = figure.driver.median;
        let times = median / *shortest.get_or_insert(median);
        figures.push(figure.note(format!("{times:.2} times the shortest")));
    }
    driver.close().await?;
    Ok(figures)
}

/// A queue with many jobs.
struct Backlog<'a> {
    session: &'a Session,
    queue: QueueName,
    subscription: Box<dyn Subscription>,
    pushed: Vec<JobId>,
    taken: Vec<JobId>,
}

impl<'a> Backlog<'a> {
    async fn open(session: &'a Session) -> Result<Self> {
        let queue = session.target.fresh_queue();
        let subscription = session.connection.driver.subscribe(std::slice::from_ref(&queue)).await?;
        Ok(Self { session, queue, subscription, pushed: Vec::new(), taken: Vec::new() })
    }

    async fn grow(&mut self, length: usize) -> Result<()> {
        while self.pushed.len() - self.taken.len() < length {
            let missing = length - (self.pushed.len() - self.taken.len());
            self.push(missing.min(MADE_AT_ONCE)).await?;
        }
        Ok(())
    }

    async fn push(&mut self, jobs: usize) -> Result<()> {
        let new = new_jobs(&self.queue, jobs, Kind::NoOp)?;
        self.pushed.extend(fill(self.session, &self.queue, &new).await?);
        Ok(())
    }

    /// Microseconds for one reserve of one job.
    async fn round(&mut self, span: Duration) -> Result<f64> {
        let begun = Instant::now();
        let (mut spent, mut visits) = (Duration::ZERO, 0_u32);
        while begun.elapsed() < span || visits == 0 {
            spent += self.visit().await?;
            self.push(VISIT).await?;
            visits += 1;
        }
        Ok(spent.as_secs_f64() * 1e6 / f64::from(visits) / VISIT as f64)
    }

    async fn visit(&mut self) -> Result<Duration> {
        let mut deliveries = Vec::with_capacity(VISIT);
        let begun = Instant::now();
        for _ in 0..VISIT {
            deliveries.extend(self.subscription.reserve(&self.queue, Reserve::new(1)).await?);
        }
        let spent = begun.elapsed();
        ensure!(deliveries.len() == VISIT, "{} of {VISIT} reserves gave a job", deliveries.len());
        let settlements: Vec<_> = deliveries.iter().map(|one| Settlement::new(one, &Outcome::Done)).collect();
        for answer in self.session.connection.driver.settle(&self.queue, &settlements).await {
            answer.context("an outcome was not taken")?;
        }
        self.taken.extend(deliveries.iter().filter_map(Delivery::id));
        Ok(spent)
    }

    /// Clears the rest: what was pushed first was taken, in its order, and the rest is as long as it must be.
    async fn close(self) -> Result<()> {
        let Self { session, queue, subscription, pushed, taken } = self;
        subscription.close().await?;
        let left = pushed.len() - taken.len();
        let cleared = session.connection.driver.clear(&queue).await?;
        let is_all = cleared.waiting.is_none_or(|cleared| cleared == left as u64);
        ensure!(is_all, "not exact: {left} jobs should have waited, {cleared:?}");
        same(pushed[..taken.len()].to_vec(), taken)?;
        session.assert_empty(&queue).await
    }
}

async fn raw_round(raw: &dyn RawLoop, span: Duration) -> Result<f64> {
    let begun = Instant::now();
    let (mut spent, mut visits) = (Duration::ZERO, 0_u32);
    while begun.elapsed() < span || visits == 0 {
        let taking = Instant::now();
        let numbers = raw.take(VISIT).await?;
        spent += taking.elapsed();
        ensure!(numbers.len() == VISIT, "the raw loop took {} of {VISIT} jobs", numbers.len());
        raw.push(0..VISIT as u64, Shape { tasks: 1, batch: VISIT }).await?;
        visits += 1;
    }
    Ok(spent.as_secs_f64() * 1e6 / f64::from(visits) / VISIT as f64)
}
