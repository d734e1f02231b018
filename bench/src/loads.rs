//! The loads: what is measured as jobs per second, and how its rounds are made.

mod push;
mod reserve;
mod work;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use stream_core::{Precision, QueueName};

pub(crate) use push::fill;
use reserve::collect;

use crate::{
    job::Kind,
    report::{Figure, Unit},
    statistics::ratios,
    target::{Connection, RawLoop, Shape, Target},
    usage::Round,
};

/// Ratios to the raw loop that driver calls have to reach.
const FLOOR_BATCHES: f64 = 0.9;
const FLOOR_SINGLE: f64 = 0.8;
/// From this batch on the first of the two holds.
const FLOOR_BATCH_FROM: usize = 100;

/// One thing that is measured as jobs per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// `QueueManager::push`, each task one after the other.
    Push { tasks: usize },
    /// `QueueManager::push_many`.
    PushMany { batch: usize },
    /// `Driver::push` of jobs that are made before.
    DriverPush { batch: usize },
    /// `Subscription::reserve` and `Driver::settle`.
    ReserveSettle { batch: usize },
    /// A `Consumer` on a queue that was filled before.
    Work { workers: usize, kind: Kind },
}

impl Load {
    /// In the order in which they are printed.
    pub(crate) fn all() -> Vec<Self> {
        let no_op = |workers| Self::Work { workers, kind: Kind::NoOp };
        let mut all = vec![Self::Push { tasks: 1 }, Self::Push { tasks: 32 }];
        all.extend([100, 1_000].map(|batch| Self::PushMany { batch }));
        all.extend([100, 1_000].map(|batch| Self::DriverPush { batch }));
        all.extend([1, 10, 100].map(|batch| Self::ReserveSettle { batch }));
        all.extend([1, 10, 32, 100, 1_000].map(no_op));
        all.extend([Kind::OneMs, Kind::FailsOnce].map(|kind| Self::Work { workers: 32, kind }));
        all
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Push { tasks: 1 } => "push one by one, 1 task".to_owned(),
            Self::Push { tasks } => format!("push one by one, {tasks} tasks"),
            Self::PushMany { batch } => format!("push_many, batches of {batch}"),
            Self::DriverPush { batch } => format!("bare push, batches of {batch}"),
            Self::ReserveSettle { batch: 1 } => "bare reserve + settle, one by one".to_owned(),
            Self::ReserveSettle { batch } => format!("bare reserve + settle, batches of {batch}"),
            Self::Work { workers: 1, kind: Kind::NoOp } => "consumer, no-op, 1 worker".to_owned(),
            Self::Work { workers, kind: Kind::NoOp } => format!("consumer, no-op, {workers} workers"),
            Self::Work { workers, kind: Kind::OneMs } => format!("consumer, 1 ms sleep, {workers} workers"),
            Self::Work { workers, kind: Kind::FailsOnce } => {
                format!("consumer, fails once, {workers} workers")
            }
        }
    }

    /// The promise for driver calls; the core's own verbs and the consumer have promises of their own.
    pub(crate) fn ratio_floor(&self) -> Option<f64> {
        match self {
            Self::DriverPush { batch } | Self::ReserveSettle { batch } => match *batch {
                FLOOR_BATCH_FROM.. => Some(FLOOR_BATCHES),
                _ => Some(FLOOR_SINGLE),
            },
            Self::Push { .. } | Self::PushMany { .. } | Self::Work { .. } => None,
        }
    }

    /// How the raw loop is cut up to do the same.
    fn shape(&self) -> Shape {
        match *self {
            Self::Push { tasks } => Shape { tasks, batch: 1 },
            Self::PushMany { batch } | Self::DriverPush { batch } | Self::ReserveSettle { batch } => {
                Shape { tasks: 1, batch }
            }
            Self::Work { workers, kind: Kind::OneMs } => Shape { tasks: workers, batch: 1 },
            Self::Work { workers, .. } => Shape { tasks: 1, batch: workers },
        }
    }
}

/// A target with an open connection.
pub(crate) struct Session {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) connection: Connection,
    pub(crate) latency: Duration,
}

impl Session {
    pub(crate) async fn open(target: Arc<dyn Target>, latency: Duration) -> Result<Self> {
        let connection = target.connect(latency).await?;
        Ok(Self { target, connection, latency })
    }

    pub(crate) async fn raw(&self) -> Result<Option<Box<dyn RawLoop>>> {
        self.target.raw(&self.target.fresh_queue(), self.latency).await
    }

    /// Fails if anything is left in a queue that was worked.
    pub(crate) async fn assert_empty(&self, queue: &QueueName) -> Result<()> {
        if self.connection.driver.capabilities().depth == Precision::Exact {
            let depth = self.connection.driver.depth(queue).await?;
            let left = depth.ready + depth.delayed + depth.reserved + depth.dead.unwrap_or(0);
            ensure!(left == 0, "not exact: {left} jobs are left: {depth:?}");
        }
        self.target.forget(queue).await
    }
}

/// How long rounds are and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// About how long one round should take.
    pub(crate) round: Duration,
    pub(crate) jobs_min: usize,
    pub(crate) jobs_max: usize,
    pub(crate) pickups: usize,
    pub(crate) backlogs: &'static [usize],
    pub(crate) idle: Duration,
}

impl Plan {
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        round: Duration::from_millis(500),
        jobs_min: 1_000,
        jobs_max: 200_000,
        pickups: 200,
        backlogs: &[1_000, 100_000, 1_000_000],
        idle: Duration::from_secs(5),
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        round: Duration::from_millis(50),
        jobs_min: 200,
        jobs_max: 20_000,
        pickups: 50,
        backlogs: &[1_000, 100_000],
        idle: Duration::from_secs(1),
    };
}

/// The rounds of a load, the driver's between the raw loop's.
pub(crate) async fn measure(session: &Session, load: Load, plan: &Plan) -> Result<Figure> {
    let jobs = calibrate(session, load, plan).await?;
    let (mut driver, mut raw) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        // Neither is always first: what one leaves behind for the other evens out.
        if round % 2 == 1 {
            raw.extend(on_raw(session, load, jobs).await?);
        }
        driver.push(on_driver(session, load, jobs).await?);
        if round % 2 == 0 {
            raw.extend(on_raw(session, load, jobs).await?);
        }
    }
    let speeds = |rounds: &[Round]| rounds.iter().map(Round::per_second).collect::<Vec<_>>();
    let (driver_speeds, raw_speeds) = (speeds(&driver), speeds(&raw));
    let cpu: Vec<_> = driver.iter().map(Round::cpu_us).collect();
    Ok(Figure::new(load.name(), Unit::JobsPerSecond, &driver_speeds)?
        .jobs(jobs)
        .raw(&raw_speeds, &ratios(&driver_speeds, &raw_speeds))
        .floors(session.target.ratio_floor(&load), session.target.raw_floor(&load))
        .cpu_us(&cpu))
}

/// How many jobs make a round of about the planned length; warms up on the way.
async fn calibrate(session: &Session, load: Load, plan: &Plan) -> Result<usize> {
    let mut jobs = plan.jobs_min;
    loop {
        let elapsed = on_driver(session, load, jobs).await?.elapsed;
        let wanted = jobs as f64 * plan.round.as_secs_f64() / elapsed.as_secs_f64();
        let next = (wanted as usize).clamp(plan.jobs_min, plan.jobs_max).min(jobs * 20);
        if elapsed * 4 >= plan.round || next <= jobs {
            return Ok(next.max(plan.jobs_min));
        }
        jobs = next;
    }
}

async fn on_driver(session: &Session, load: Load, jobs: usize) -> Result<Round> {
    let queue = session.target.fresh_queue();
    let round = match load {
        Load::Push { tasks } => push::one_by_one(session, &queue, jobs, tasks).await,
        Load::PushMany { batch } => push::many(session, &queue, jobs, batch).await,
        Load::DriverPush { batch } => push::bare(session, &queue, jobs, batch).await,
        Load::ReserveSettle { batch } => reserve::round(session, &queue, jobs, batch).await,
        Load::Work { workers, kind } => work::round(session, &queue, jobs, workers, kind).await,
    };
    let round = round.with_context(|| load.name())?;
    session.assert_empty(&queue).await?;
    Ok(round)
}

async fn on_raw(session: &Session, load: Load, jobs: usize) -> Result<Option<Round>> {
    let Some(raw) = session.raw().await? else { return Ok(None) };
    let round = match load {
        Load::Push { .. } | Load::PushMany { .. } | Load::DriverPush { .. } => {
            push::raw(&*raw, jobs, load.shape()).await
        }
        Load::ReserveSettle { .. } => work::raw(&*raw, jobs, load.shape(), Kind::NoOp).await,
        Load::Work { kind, .. } => work::raw(&*raw, jobs, load.shape(), kind).await,
    };
    round.map(Some).with_context(|| format!("raw loop, {}", load.name()))
}
