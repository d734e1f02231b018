//! What became of each job: how often it began and ended, and whether anything ran that may not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use stream_core::{Context, Event, Handlers, JobId, JobResult, Outcome};
use tokio::time::sleep;

use super::super::Act;

/// The runs of all jobs of one seed; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    seed: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<JobId, Job>,
    /// What may never happen.
    wrong: Vec<String>,
    process: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Job {
    /// A push was answered: it may not be lost.
    is_pushed: bool,
    /// The process in which a handler runs now.
    runs_in: Option<u64>,
    /// How often a handler came to its end.
    ended: u64,
    /// The process in which it came to its end last.
    ended_in: Option<u64>,
    /// The store said that it is done.
    is_settled: bool,
}

impl Runs {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, state: Arc::default() }
    }

    pub(super) fn pushed(&self, id: JobId) {
        self.state().jobs.entry(id).or_default().is_pushed = true;
    }

    /// Nobody knows, since the push was dropped or failed.
    pub(super) fn may_be_pushed(&self, id: JobId) {
        self.state().jobs.entry(id).or_default();
    }

    /// All that ran is gone; what runs from now on is another process.
    pub(super) fn process_ended(&self) {
        self.state().process += 1;
    }

    pub(super) fn handlers(&self) -> Handlers {
        let runs = self.clone();
        Handlers::new().register::<Act>(move |job: Act, cx: Context| {
            let runs = runs.clone();
            async move {
                let _running = runs.begin(cx.id());
                let number: u64 = job.0.parse().unwrap();
                sleep(Duration::from_millis((number * 37 + runs.seed * 101) % 1_500)).await;
                runs.end(cx.id());
                JobResult::Ok(())
            }
        })
    }

    pub(super) fn note(&self, event: &Event<'_>) {
        if let Event::Settled { cx, outcome: Outcome::Done, .. } = event {
            self.state().jobs.entry(cx.id()).or_default().is_settled = true;
        }
    }

    fn begin(&self, id: JobId) -> Running {
        let mut state = self.state();
        let process = state.process;
        let job = state.jobs.entry(id).or_default();
        let wrong = match job {
            Job { is_settled: true, .. } => Some("began after it was settled"),
            Job { runs_in: Some(other), .. } if *other == process => Some("ran twice at the same time"),
            _ => None,
        };
        job.runs_in = Some(process);
        state.wrong.extend(wrong.map(|what| format!("{id} {what}")));
        Running { runs: self.clone(), id, process }
    }

    fn end(&self, id: JobId) {
        let mut state = self.state();
        let process = state.process;
        let job = state.jobs.entry(id).or_default();
        job.ended += 1;
        job.ended_in = Some(process);
    }

    /// No job whose push was answered is missing, and nothing happened that may not.
    pub(super) fn assert_all_ended(&self) {
        let state = self.state();
        let lost: Vec<_> = state.jobs.iter().filter(|(_, job)| job.is_pushed && job.ended == 0).collect();
        assert!(lost.is_empty(), "seed {}: lost: {lost:?}", self.seed);
        assert!(state.wrong.is_empty(), "seed {}: {:?}", self.seed, state.wrong);
    }

    pub(super) fn assert_each_ended_once(&self) {
        self.assert_ended_again_at_most(0);
    }

    pub(super) fn assert_ended_again_at_most(&self, times: u64) {
        let state = self.state();
        let again: u64 = state.jobs.values().map(|job| job.ended.saturating_sub(1)).sum();
        assert!(again <= times, "seed {}: {again} ended again, not at most {times}: {state:?}", self.seed);
    }

    /// That is found when it begins.
    pub(super) fn assert_what_was_settled_ran_no_more(&self) {
        let state = self.state();
        let settled = state.jobs.values().filter(|job| job.is_settled).count();
        assert!(settled > 0 && state.wrong.is_empty(), "seed {}: {:?}", self.seed, state.wrong);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// A handler that has begun; dropped with its future, however that ends.
struct Running {
    runs: Runs,
    id: JobId,
    process: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.runs.state();
        let job = state.jobs.entry(self.id).or_default();
        if job.runs_in == Some(self.process) {
            job.runs_in = None;
        }
    }
}
