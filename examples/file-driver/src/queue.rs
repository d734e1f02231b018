//! The verbs, on one queue whose lock is held: each job in a step that happens or does not.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    io,
    time::Duration,
};

use stream_core::{Delivery, Depth, Envelope, JobId, NewJob, Outcome, Priority, Pushed, Reserve, Result};

use crate::{
    content::Content,
    ended::Ended,
    entry::{Entry, State, Ticket, after, now},
    error::{lease_lost, unavailable},
    folder::Folder,
};

/// What a push brings.
pub(crate) struct Fresh {
    pub(crate) id: Option<JobId>,
    priority: Priority,
    delay: Duration,
    envelope: Vec<u8>,
}

impl Fresh {
    pub(crate) fn of(job: &NewJob) -> Self {
        let envelope = &job.envelope;
        Self {
            id: Some(envelope.id),
            priority: envelope.priority,
            delay: job.delay,
            envelope: envelope.to_bytes(),
        }
    }

    /// Bytes of another producer, whether they are an envelope or not.
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        let (id, priority) = match Envelope::from_bytes(bytes.clone()) {
            Ok(envelope) => (Some(envelope.id), envelope.priority),
            Err(undecodable) => (undecodable.id, Priority::Default),
        };
        Self { id, priority, delay: Duration::ZERO, envelope: bytes }
    }
}

/// Stores jobs whose id is not here.
pub(crate) fn push_all(folder: &mut Folder, jobs: Vec<(JobId, Fresh)>) -> Vec<Result<Pushed>> {
    let mut held: HashSet<_> = folder.jobs.values().filter_map(|entry| entry.id).collect();
    let mut push_one = |(id, job)| {
        if held.contains(&id) {
            return Ok(Pushed::AlreadyStored(id));
        }
        push(folder, job).map_err(|error| unavailable("push", error))?;
        held.insert(id);
        Ok(Pushed::Stored(id))
    };
    jobs.into_iter().map(&mut push_one).collect()
}

/// Stores a job.
pub(crate) fn push(folder: &mut Folder, job: Fresh) -> io::Result<()> {
    let Fresh { id, priority, delay, envelope } = job;
    if folder.jobs.is_empty() {
        // The folder may be new.
        folder.confirm_place()?;
    }
    let key = folder.fresh_moment();
    let state = State::Waiting { due: after(delay) };
    let entry = Entry { key, written: key, id, priority, attempt: 1, lost: 0, state };
    folder.write(entry, &Content { error: None, envelope })
}

/// Lends jobs, the most urgent first and of those the oldest.
pub(crate) fn take(folder: &mut Folder, request: Reserve) -> Result<Vec<Delivery>> {
    let now = now();
    let mut ready: Vec<_> = folder.jobs.values().copied().filter(|entry| entry.is_ready(now)).collect();
    ready.sort_by_key(|entry| (entry.priority.level(), entry.key));
    let (mut taken, mut failure) = (Vec::new(), None);
    for entry in ready.into_iter().take(request.max_jobs) {
        match lend(folder, entry, request.lease) {
            Ok(delivery) => taken.push(delivery),
            Err(error) => failure = Some(unavailable("reserve", error)),
        }
    }
    match failure {
        // What was taken wins over an error.
        Some(error) if taken.is_empty() => Err(error),
        _ => Ok(taken),
    }
}

fn lend(folder: &mut Folder, mut entry: Entry, lease: Duration) -> io::Result<Delivery> {
    let content = folder.read(&entry)?;
    if matches!(entry.state, State::Leased { .. }) {
        // It ended with no outcome, and nobody but the next taker can know.
        entry.lost = entry.lost.saturating_add(1);
    }
    // Each state has keys of its own, from the system's randomness.
    let token = RandomState::new().hash_one(entry.key);
    entry.state = State::Leased { until: after(lease), token };
    folder.rename(entry)?;
    let receipt = Ticket { key: entry.key, token }.to_receipt();
    let mut delivery = Delivery::new(Envelope::from_bytes(content.envelope), receipt);
    (delivery.attempt, delivery.lost) = (entry.attempt, entry.lost);
    delivery.last_error = content.error;
    Ok(delivery)
}

/// Ends a delivery.
pub(crate) fn settle(
    folder: &mut Folder,
    ended: &Ended,
    ticket: Option<Ticket>,
    outcome: &Outcome,
) -> Result<()> {
    let mut entry = lent(folder, ended, ticket, "settle")?;
    let changed = match outcome {
        Outcome::Done => folder.remove(&entry),
        Outcome::Release { after: wait } => {
            entry.state = State::Waiting { due: after(*wait) };
            folder.rename(entry)
        }
        Outcome::Retry { after: wait, error } => {
            entry.state = State::Waiting { due: after(*wait) };
            entry.attempt = entry.attempt.saturating_add(1);
            write_anew(folder, entry, error)
        }
        Outcome::Bury { error } => {
            entry.state = State::Dead;
            write_anew(folder, entry, error)
        }
    };
    changed.map_err(|error| unavailable("settle", error))?;
    ticket.into_iter().for_each(|ticket| ended.note(ticket));
    Ok(())
}

/// A copy that has the error as well, and then the original is removed.
fn write_anew(folder: &mut Folder, mut entry: Entry, error: &str) -> io::Result<()> {
    let mut content =
        folder.jobs.get(&entry.key).map_or(Err(io::ErrorKind::NotFound.into()), |old| folder.read(old))?;
    content.error = Some(error.to_owned());
    entry.written = folder.fresh_moment();
    folder.write(entry, &content)
}

/// Makes a lease end that long from now.
pub(crate) fn extend(
    folder: &mut Folder,
    ended: &Ended,
    ticket: Option<Ticket>,
    lease: Duration,
) -> Result<()> {
    let mut entry = lent(folder, ended, ticket, "extend")?;
    if let State::Leased { until, .. } = &mut entry.state {
        *until = after(lease);
    }
    folder.rename(entry).map_err(|error| unavailable("extend", error))
}

/// The job of a delivery that is not over, be its lease or not.
fn lent(folder: &Folder, ended: &Ended, ticket: Option<Ticket>, operation: &'static str) -> Result<Entry> {
    let ticket = ticket.ok_or_else(|| lease_lost(operation))?;
    let entry = folder.jobs.get(&ticket.key).filter(|entry| entry.is_lent_as(ticket));
    entry.copied().ok_or_else(|| {
        ended.note(ticket);
        lease_lost(operation)
    })
}

/// How many jobs are what.
pub(crate) fn depth(folder: &Folder) -> Depth {
    let now = now();
    let (mut depth, mut dead) = (Depth::default(), 0);
    for entry in folder.jobs.values() {
        let count = match entry.state {
            _ if entry.is_ready(now) => &mut depth.ready,
            State::Waiting { .. } => &mut depth.delayed,
            State::Leased { .. } => &mut depth.reserved,
            State::Dead => &mut dead,
        };
        *count += 1;
    }
    depth.dead = Some(dead);
    depth
}

/// Removes what waits; how many.
pub(crate) fn clear(folder: &mut Folder) -> io::Result<u64> {
    let now = now();
    let waits = |entry: &Entry| entry.is_ready(now) || matches!(entry.state, State::Waiting { .. });
    remove_all(folder, waits)
}

/// Removes the jobs for which `goes` holds; how many.
pub(crate) fn remove_all(folder: &mut Folder, goes: impl Fn(&Entry) -> bool) -> io::Result<u64> {
    let gone: Vec<_> = folder.jobs.values().copied().filter(goes).collect();
    gone.iter().try_for_each(|entry| folder.remove(entry))?;
    Ok(gone.len() as u64)
}
