//! The jobs in memory, and what each verb changes of them.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use stream_core::{
    DeadLetter, DeadLetterId, Delivery, Depth, Envelope, Error, ErrorKind, JobId, NewJob, Outcome, Priority,
    Pushed, QueueName, Receipt, Reserve, Result,
};

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Job {
    queue: String,
    id: Option<JobId>,
    bytes: Vec<u8>,
    level: u8,
    attempt: u32,
    lost: u32,
    error: Option<String>,
    place: Place,
}

/// Times are nanoseconds since 1970 by the host's clock, which all processes on the file share.
#[derive(Clone, Serialize, Deserialize)]
enum Place {
    Waiting { due: u64 },
    Leased { token: u64, until: u64 },
    Dead { letter: u64 },
}

/// What one job is from now on; none if it is gone.
#[derive(Serialize, Deserialize)]
pub(super) struct Change {
    /// Changes are numbered through; a job, a lease and a letter are named by the change that made them.
    number: u64,
    job: u64,
    now: Option<Job>,
}

#[derive(Default)]
pub(super) struct State {
    number: u64,
    jobs: BTreeMap<u64, Job>,
    ids: HashMap<(String, JobId), u64>,
    /// Made by this process, not yet in the file.
    pub(super) unwritten: Vec<Change>,
}

impl State {
    pub(super) fn apply(&mut self, change: Change) {
        self.number = change.number;
        match change.now {
            Some(job) => {
                if let Some(id) = job.id {
                    self.ids.insert((job.queue.clone(), id), change.job);
                }
                self.jobs.insert(change.job, job);
            }
            None => {
                let gone = self.jobs.remove(&change.job);
                if let Some(Job { queue, id: Some(id), .. }) = gone {
                    self.ids.remove(&(queue, id));
                }
            }
        }
    }

    fn change(&mut self, key: u64, now: Option<Job>) {
        let number = self.number + 1;
        self.unwritten.push(Change { number, job: key, now: now.clone() });
        self.apply(Change { number, job: key, now });
    }

    pub(super) fn push(&mut self, queue: &QueueName, job: &NewJob) -> Pushed {
        let id = job.envelope.id;
        if self.ids.contains_key(&(queue.to_string(), id)) {
            return Pushed::AlreadyStored(id);
        }
        let due = after(job.delay);
        self.insert(queue, Some(id), job.envelope.to_bytes(), job.envelope.priority, due);
        Pushed::Stored(id)
    }

    pub(super) fn inject(&mut self, queue: &QueueName, bytes: Vec<u8>) {
        let id = match Envelope::from_bytes(bytes.clone()) {
            Ok(envelope) => Some(envelope.id),
            Err(undecodable) => undecodable.id,
        };
        self.insert(queue, id, bytes, Priority::Default, now());
    }

    fn insert(&mut self, queue: &QueueName, id: Option<JobId>, bytes: Vec<u8>, priority: Priority, due: u64) {
        let place = Place::Waiting { due };
        let (queue, level) = (queue.to_string(), priority.level());
        let job = Job { queue, id, bytes, level, attempt: 1, lost: 0, error: None, place };
        self.change(self.number + 1, Some(job));
    }

    pub(super) fn take(&mut self, queue: &QueueName, request: &Reserve) -> Vec<Delivery> {
        let now = now();
        let ready = self.of(queue).filter(|(_, job)| job.is_ready(now));
        let mut ready: Vec<_> = ready.map(|(key, job)| (job.level, key)).collect();
        ready.sort_unstable();
        ready.truncate(request.max_jobs);
        ready.into_iter().map(|(_, key)| self.lease(key, request.lease)).collect()
    }

    fn lease(&mut self, key: u64, lease: Duration) -> Delivery {
        let mut job = self.jobs[&key].clone();
        // A lease that ended with no outcome is found by whoever takes the job again.
        if matches!(job.place, Place::Leased { .. }) {
            job.lost += 1;
        }
        let token = self.number + 1;
        job.place = Place::Leased { token, until: after(lease) };
        let receipt = Receipt::new([key.to_be_bytes(), token.to_be_bytes()].concat());
        let mut delivery = Delivery::new(Envelope::from_bytes(job.bytes.clone()), receipt);
        (delivery.attempt, delivery.lost) = (job.attempt, job.lost);
        delivery.last_error = job.error.clone();
        self.change(key, Some(job));
        delivery
    }

    pub(super) fn settle(&mut self, queue: &QueueName, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        let (key, mut job) = self.held(queue, delivery).ok_or_else(|| lease_lost("settle"))?;
        match outcome {
            Outcome::Done => {
                self.change(key, None);
                return Ok(());
            }
            Outcome::Retry { after: wait, error } => {
                job.attempt += 1;
                job.error = Some(error.clone());
                job.place = Place::Waiting { due: after(*wait) };
            }
            Outcome::Bury { error } => {
                job.error = Some(error.clone());
                job.place = Place::Dead { letter: self.number + 1 };
            }
            Outcome::Release { after: wait } => job.place = Place::Waiting { due: after(*wait) },
        }
        self.change(key, Some(job));
        Ok(())
    }

    pub(super) fn extend(&mut self, queue: &QueueName, delivery: &Delivery, lease: Duration) -> Result<()> {
        let (key, mut job) = self.held(queue, delivery).ok_or_else(|| lease_lost("extend"))?;
        if let Place::Leased { until, .. } = &mut job.place {
            *until = after(lease);
        }
        self.change(key, Some(job));
        Ok(())
    }

    /// The job that a receipt is still good for, whether the lease has ended or not.
    fn held(&self, queue: &QueueName, delivery: &Delivery) -> Option<(u64, Job)> {
        let (key, token) = parse(&delivery.receipt)?;
        let job = self.jobs.get(&key).filter(|job| job.queue == queue.as_str() && job.is_leased_as(token))?;
        Some((key, job.clone()))
    }

    /// False only for a receipt from the known past.
    pub(super) fn may_be_current(&self, delivery: &Delivery) -> bool {
        let Some((key, token)) = parse(&delivery.receipt) else { return false };
        token > self.number || self.jobs.get(&key).is_some_and(|job| job.is_leased_as(token))
    }

    pub(super) fn has_ready(&self, queue: &QueueName) -> bool {
        let now = now();
        self.of(queue).any(|(_, job)| job.is_ready(now))
    }

    pub(super) fn depth(&self, queue: &QueueName) -> Depth {
        let now = now();
        let (mut depth, mut dead) = (Depth::default(), 0);
        for (_, job) in self.of(queue) {
            let count = match job.place {
                Place::Dead { .. } => &mut dead,
                _ if job.is_ready(now) => &mut depth.ready,
                Place::Waiting { .. } => &mut depth.delayed,
                Place::Leased { .. } => &mut depth.reserved,
            };
            *count += 1;
        }
        depth.dead = Some(dead);
        depth
    }

    pub(super) fn clear(&mut self, queue: &QueueName) -> u64 {
        let now = now();
        let waits = |job: &Job| job.is_ready(now) || matches!(job.place, Place::Waiting { .. });
        let keys: Vec<_> = self.of(queue).filter(|(_, job)| waits(job)).map(|(key, _)| key).collect();
        keys.iter().for_each(|key| self.change(*key, None));
        keys.len() as u64
    }

    pub(super) fn letters(&self, queue: &QueueName, behind: Option<&DeadLetterId>) -> Vec<DeadLetter> {
        let behind = behind.map_or(0, number_of);
        let dead = self.of(queue).filter_map(|(_, job)| Some((job.letter()?, job)));
        let mut dead: Vec<_> = dead.filter(|(letter, _)| *letter > behind).collect();
        dead.sort_by_key(|(letter, _)| *letter);
        dead.into_iter().map(|(letter, job)| job.to_letter(letter)).collect()
    }

    /// Makes the letter ready again, or removes it; false if there is none.
    pub(super) fn end_letter(&mut self, queue: &QueueName, id: &DeadLetterId, how: EndLetter) -> bool {
        let letter = Some(number_of(id));
        let Some((key, job)) = self.of(queue).find(|(_, job)| job.letter() == letter) else { return false };
        let again = Job { attempt: 1, lost: 0, place: Place::Waiting { due: now() }, ..job.clone() };
        self.change(key, matches!(how, EndLetter::Retry).then_some(again));
        true
    }

    fn of<'a>(&'a self, queue: &'a QueueName) -> impl Iterator<Item = (u64, &'a Job)> {
        let jobs = self.jobs.iter().filter(|(_, job)| job.queue == queue.as_str());
        jobs.map(|(key, job)| (*key, job))
    }
}

#[derive(Clone, Copy)]
pub(super) enum EndLetter {
    Retry,
    Remove,
}

impl Job {
    fn is_ready(&self, now: u64) -> bool {
        match self.place {
            Place::Waiting { due: at } | Place::Leased { until: at, .. } => at <= now,
            Place::Dead { .. } => false,
        }
    }

    fn is_leased_as(&self, wanted: u64) -> bool {
        matches!(self.place, Place::Leased { token, .. } if token == wanted)
    }

    fn letter(&self) -> Option<u64> {
        match self.place {
            Place::Dead { letter } => Some(letter),
            _ => None,
        }
    }

    fn to_letter(&self, number: u64) -> DeadLetter {
        let id = DeadLetterId::new(number.to_be_bytes());
        let error = self.error.clone().unwrap_or_default();
        let mut letter = DeadLetter::new(id, Envelope::from_bytes(self.bytes.clone()), error);
        (letter.attempt, letter.lost) = (self.attempt, self.lost);
        letter
    }
}

fn parse(receipt: &Receipt) -> Option<(u64, u64)> {
    let (key, token) = receipt.as_bytes().split_at_checked(8)?;
    Some((u64::from_be_bytes(key.try_into().ok()?), u64::from_be_bytes(token.try_into().ok()?)))
}

fn number_of(id: &DeadLetterId) -> u64 {
    // Bytes of another store name no letter of this one.
    id.as_bytes().try_into().map_or(u64::MAX, u64::from_be_bytes)
}

fn lease_lost(operation: &'static str) -> Error {
    Error::new(ErrorKind::LeaseLost, "toy", operation)
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, nanoseconds)
}

fn after(wait: Duration) -> u64 {
    now().saturating_add(nanoseconds(wait))
}

fn nanoseconds(span: Duration) -> u64 {
    span.as_nanos().try_into().unwrap_or(u64::MAX)
}
