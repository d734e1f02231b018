//! Concurrent single pushes to a queue share calls of the driver.
//!
//! A lone push goes straight. Those beside two others wait for the next call of a task, which takes
//! all that wait: no pusher can drop the push of another.

use std::{
    collections::BTreeMap,
    mem::{replace, take},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{runtime::Handle, sync::oneshot};

use crate::*;

const STRAIGHT_MAX: usize = 2;

/// The single pushes under way on a connection.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<BTreeMap<QueueName, Lane>>);

#[derive(Debug, Default)]
struct Lane {
    straight: usize,
    has_task: bool,
    waiting: Vec<(NewJob, Answer)>,
}

/// The driver's, or the job back unsent.
type Answer = oneshot::Sender<Result<Result<Pushed>, NewJob>>;

impl Lanes {
    pub(crate) async fn push(
        self: &Arc<Self>,
        driver: &Arc<dyn Driver>,
        queue: QueueName,
        mut job: NewJob,
    ) -> Result<Pushed> {
        if self.is_busy(&queue)
            && let Ok(runtime) = Handle::try_current()
        {
            let (sender, answer) = oneshot::channel();
            let has_task = self.change(&queue, |lane| {
                lane.waiting.push((job, sender));
                replace(&mut lane.has_task, true)
            });
            if !has_task {
                let task = Task { lanes: self.clone(), driver: driver.clone(), queue: queue.clone() };
                runtime.spawn(task.run());
            }
            job = match answer.await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(unsent)) => unsent,
                Err(_) => {
                    let error = Error::new(ErrorKind::OutcomeUnknown, driver.name(), "push");
                    return Err(error.explained("the runtime that sent it has ended"));
                }
            };
        }
        self.change(&queue, |lane| lane.straight += 1);
        let _straight = Straight(self, &queue);
        only(driver.push(&queue, &[job]).await, driver, "push")
    }

    fn is_busy(&self, queue: &QueueName) -> bool {
        self.lock().get(queue).is_some_and(|lane| lane.straight >= STRAIGHT_MAX)
    }

    /// A lane that nobody uses is forgotten.
    fn change<T>(&self, queue: &QueueName, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.lock();
        let lane = lanes.entry(queue.clone()).or_default();
        let changed = change(lane);
        if lane.straight == 0 && !lane.has_task {
            lanes.remove(queue);
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<QueueName, Lane>> {
        self.0.lock().expect(UNPOISONED)
    }
}

struct Straight<'a>(&'a Lanes, &'a QueueName);

impl Drop for Straight<'_> {
    fn drop(&mut self) {
        self.0.change(self.1, |lane| lane.straight -= 1);
    }
}

struct Task {
    lanes: Arc<Lanes>,
    driver: Arc<dyn Driver>,
    queue: QueueName,
}

impl Task {
    async fn run(self) {
        let batch = self.driver.capabilities().batch;
        loop {
            let waiting = self.lanes.change(&self.queue, |lane| {
                let count = lane.waiting.len().min(batch);
                lane.waiting.drain(..count).collect::<Vec<_>>()
            });
            // Who gave up before it was sent wants it no more.
            let wanted = waiting.into_iter().filter(|(_, answer)| !answer.is_closed());
            let (jobs, answers): (Vec<_>, Vec<_>) = wanted.unzip();
            if jobs.is_empty() {
                return;
            }
            let mut pushed = self.driver.push(&self.queue, &jobs).await.into_iter();
            for answer in answers {
                let pushed = pushed.next().unwrap_or_else(|| unanswered(self.driver.name(), "push"));
                let _ = answer.send(Ok(pushed));
            }
        }
    }
}

impl Drop for Task {
    /// Also when its runtime ends.
    fn drop(&mut self) {
        let unsent = self.lanes.change(&self.queue, |lane| {
            lane.has_task = false;
            take(&mut lane.waiting)
        });
        for (job, answer) in unsent {
            let _ = answer.send(Err(job));
        }
    }
}
