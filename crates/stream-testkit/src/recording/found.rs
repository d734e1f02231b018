//! Jobs that were pushed, narrowed step by step to what a test expects.

use std::{fmt, time::Duration};

use stream_core::Priority;

use super::Stored;

/// Jobs of one type or name that were pushed: narrow them, then say how many there should be.
///
/// What a failed assertion prints has queue, delay and priority of each job found, and neither payload, keys
/// nor headers, which may hold secrets.
#[must_use = "say how many are expected: `one`, `none`, `times` or `all`"]
pub struct Found<J> {
    /// The type's name, with what the jobs were narrowed by so far.
    asked: String,
    jobs: Vec<(Stored, J)>,
    left_out: Vec<Stored>,
}

impl<J> Found<J> {
    pub(super) fn new(name: &str, jobs: Vec<(Stored, J)>) -> Self {
        Self { asked: name.to_owned(), jobs, left_out: Vec::new() }
    }

    /// Only those in this queue.
    pub fn on_queue(self, queue: &str) -> Self {
        self.narrowed(format_args!("on queue {queue}"), |stored, _| stored.queue.as_str() == queue)
    }

    /// Only those with exactly this delay; zero for those that were ready at once.
    pub fn delayed_by(self, delay: Duration) -> Self {
        self.narrowed(format_args!("delayed by {delay:?}"), |stored, _| stored.job.delay == delay)
    }

    /// Only those with this priority.
    pub fn with_priority(self, priority: Priority) -> Self {
        let is_it = |stored: &Stored, _: &J| stored.job.envelope.priority == priority;
        self.narrowed(format_args!("with priority {priority}"), is_it)
    }

    /// Only those of this group.
    pub fn in_group(self, group: &str) -> Self {
        let is_it = |stored: &Stored, _: &J| stored.job.envelope.group.as_deref() == Some(group);
        self.narrowed(format_args!("in the group asked for"), is_it)
    }

    /// Only those with this unique key.
    pub fn with_unique_key(self, key: &str) -> Self {
        let is_it = |stored: &Stored, _: &J| stored.job.envelope.unique_key.as_deref() == Some(key);
        self.narrowed(format_args!("with the unique key asked for"), is_it)
    }

    /// Only those with this header and this value.
    pub fn with_header(self, name: &str, value: &str) -> Self {
        let is_it = |stored: &Stored, _: &J| {
            stored.job.envelope.headers.get(name).is_some_and(|found| found == value)
        };
        self.narrowed(format_args!("with the header {name} asked for"), is_it)
    }

    /// Only those for which `is_it` holds.
    pub fn matching(self, is_it: impl Fn(&J) -> bool) -> Self {
        self.narrowed(format_args!("matching"), |_, job| is_it(job))
    }

    /// The jobs, in the order of their pushes.
    pub fn all(self) -> Vec<J> {
        self.jobs.into_iter().map(|(_, job)| job).collect()
    }

    /// The one job that there should be.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[track_caller]
    pub fn one(self) -> J {
        self.assert_count(1);
        self.all().remove(0)
    }

    /// Asserts how many there are; the jobs.
    ///
    /// # Panics
    /// If there are more or fewer.
    #[track_caller]
    pub fn times(self, count: usize) -> Vec<J> {
        self.assert_count(count);
        self.all()
    }

    /// Asserts that there is none.
    ///
    /// # Panics
    /// If there is one.
    #[track_caller]
    pub fn none(self) {
        self.assert_count(0);
    }

    #[track_caller]
    fn assert_count(&self, count: usize) {
        let found = self.jobs.len();
        assert!(found == count, "{found} instead of {count} jobs were pushed: {self:?}");
    }

    fn narrowed(mut self, how: fmt::Arguments<'_>, is_it: impl Fn(&Stored, &J) -> bool) -> Self {
        self.asked = format!("{} {how}", self.asked);
        let (jobs, others) = self.jobs.into_iter().partition(|(stored, job)| is_it(stored, job));
        self.jobs = jobs;
        self.left_out.extend(others.into_iter().map(|(stored, _): (Stored, J)| stored));
        self
    }
}

impl<J> fmt::Debug for Found<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked for {}", self.asked)?;
        let found = self.jobs.iter().map(|(stored, _)| ("found", stored));
        let others = self.left_out.iter().map(|stored| ("pushed beside it", stored));
        found.chain(others).try_for_each(|(word, Stored { queue, job })| {
            write!(f, "\n  {word}: on queue {queue}, delay {:?}, {}", job.delay, job.envelope.priority)
        })
    }
}
