//! The memory driver, beside a queue as one writes it by hand.

use std::{
    collections::VecDeque,
    hint::black_box,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Result, ensure};
use stream_core::{QueueName, async_trait};
use stream_memory::MemoryDriver;
use tokio::{sync::Notify, task::JoinSet};

use super::{Connection, Durability, IdleWorker, RawLoop, Shape, Target};
use crate::{
    job::{Kind, raw_job, raw_number, raw_run},
    loads::Load,
    promises::{Bound, Measure, Promise},
};

/// Jobs in this process.
#[derive(Debug)]
pub(crate) struct Memory;

#[async_trait]
impl Target for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn settings(&self) -> Result<Vec<(String, String)>> {
        Ok(vec![("persistence".to_owned(), "none: jobs are lost with the process".to_owned())])
    }

    async fn durability(&self) -> Result<Durability> {
        Ok(Durability::InProcess)
    }

    fn crates(&self) -> &'static [&'static str] {
        &["stream-memory"]
    }

    async fn connect(&self, latency: Duration) -> Result<Connection> {
        ensure!(latency.is_zero(), "memory has no network whose latency could be raised");
        Ok(Connection::of(MemoryDriver::new()))
    }

    fn raw_is(&self) -> &'static str {
        "Mutex<VecDeque<Vec<u8>>> + Notify: no ids, leases, attempts, delays or priorities"
    }

    async fn raw(&self, _: &QueueName, _: Duration) -> Result<Option<Box<dyn RawLoop>>> {
        Ok(Some(Box::new(MemoryLoop::default())))
    }

    /// The raw loop does less than a job queue does: the ratio is for information.
    fn ratio_floor(&self, _: &Load) -> Option<f64> {
        None
    }

    fn promises(&self) -> Vec<Promise> {
        vec![
            Promise::new(
                "jobs pushed in batches, per second",
                Measure::BestPush,
                Bound::AtLeast(1_000_000.0),
            ),
            Promise::new("no-op jobs worked, per second", Measure::BestWorked, Bound::AtLeast(500_000.0)),
            // Below what the scheduler's own accounting shows for a process that waits.
            Promise::new("idle CPU not measurable, % of a core", Measure::IdleCpu, Bound::AtMost(0.05)),
        ]
    }

    fn idle_worker(&self) -> IdleWorker {
        IdleWorker::SameProcess
    }
}

/// What an expert writes who needs a queue in one process and nothing else.
#[derive(Debug, Clone, Default)]
struct MemoryLoop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Never held across an await.
    jobs: Mutex<VecDeque<Vec<u8>>>,
    pushed: Notify,
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.jobs.lock().expect("nothing panics under the lock")
    }

    fn push(&self, numbers: Range<u64>, batch: usize) {
        for from in numbers.clone().step_by(batch) {
            // Made before the lock is taken; one job needs no list.
            let first = raw_job(from);
            let others: Vec<_> = (from + 1..numbers.end.min(from + batch as u64)).map(raw_job).collect();
            {
                let mut jobs = self.jobs();
                jobs.push_back(first);
                jobs.extend(others);
            }
            self.pushed.notify_one();
        }
    }

    /// Takes until there is nothing.
    async fn work(&self, batch: usize, kind: Kind) -> Vec<u64> {
        let (mut numbers, mut taken, mut failed) = (Vec::new(), Vec::with_capacity(batch), Vec::new());
        loop {
            {
                let mut jobs = self.jobs();
                jobs.extend(failed.drain(..));
                let count = batch.min(jobs.len());
                taken.extend(jobs.drain(..count));
            }
            if taken.is_empty() {
                return numbers;
            }
            for mut job in taken.drain(..) {
                match raw_run(&mut job, kind).await {
                    true => numbers.push(raw_number(black_box(&job))),
                    false => failed.push(job),
                }
            }
        }
    }
}

#[async_trait]
impl RawLoop for MemoryLoop {
    async fn push(&self, numbers: Range<u64>, shape: Shape) -> Result<()> {
        let mut tasks = JoinSet::new();
        let each = (numbers.end - numbers.start).div_ceil(shape.tasks as u64).max(1);
        for from in numbers.clone().step_by(each as usize) {
            let (shared, part) = (self.shared.clone(), from..numbers.end.min(from + each));
            tasks.spawn(async move { shared.push(part, shape.batch) });
        }
        tasks.join_all().await;
        Ok(())
    }

    async fn push_one(&self, payload: Vec<u8>) -> Result<()> {
        self.shared.jobs().push_back(payload);
        self.shared.pushed.notify_one();
        Ok(())
    }

    async fn work(&self, shape: Shape, kind: Kind) -> Result<Vec<u64>> {
        if shape.tasks == 1 {
            return Ok(self.shared.work(shape.batch, kind).await);
        }
        let mut tasks = JoinSet::new();
        for _ in 0..shape.tasks {
            let shared = self.shared.clone();
            tasks.spawn(async move { shared.work(shape.batch, kind).await });
        }
        Ok(tasks.join_all().await.concat())
    }

    async fn take(&self, jobs: usize) -> Result<Vec<u64>> {
        let one = |_| self.shared.jobs().pop_front().map(|job| raw_number(&job));
        Ok((0..jobs).filter_map(one).collect())
    }

    async fn next(&self) -> Result<Vec<u8>> {
        loop {
            let job = self.shared.jobs().pop_front();
            match job {
                Some(job) => return Ok(job),
                // A push in between has left its permit.
                None => self.shared.pushed.notified().await,
            }
        }
    }

    async fn left(&self) -> Result<u64> {
        Ok(self.shared.jobs().len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::same;

    #[tokio::test]
    async fn the_raw_loop_works_each_job_once_in_every_shape() {
        for (tasks, batch) in [(1, 1), (1, 32), (32, 1), (7, 10)] {
            for kind in [Kind::NoOp, Kind::OneMs, Kind::FailsOnce] {
                let raw = MemoryLoop::default();
                let shape = Shape { tasks, batch };
                raw.push(0..100, shape).await.unwrap();
                assert_eq!(raw.left().await.unwrap(), 100);
                let worked = raw.work(shape, kind).await.unwrap();
                same((0..100).collect(), worked).unwrap();
                assert_eq!(raw.left().await.unwrap(), 0);
            }
        }
    }
}
