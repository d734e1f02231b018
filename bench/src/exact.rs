//! The proof that each pushed job was worked once: taken down during a round, looked at after it.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};

/// How often each job was worked, by the number in its payload.
#[derive(Debug)]
pub(crate) struct Ledger(Vec<AtomicU32>);

impl Ledger {
    pub(crate) fn new(jobs: usize) -> Self {
        Self((0..jobs).map(|_| AtomicU32::new(0)).collect())
    }

    /// Takes down one run of a job; a number that was never given out is found by `check`.
    pub(crate) fn note(&self, number: u64) {
        let place = self.0.get(number as usize).or(self.0.first());
        place.map(|runs| runs.fetch_add(1, Ordering::Relaxed));
    }

    /// Fails unless each job was worked once.
    pub(crate) fn check(&self) -> Result<()> {
        let runs = || self.0.iter().map(|runs| runs.load(Ordering::Relaxed));
        let never = runs().filter(|runs| *runs == 0).count();
        let twice = runs().filter(|runs| *runs > 1).count();
        ensure!(never + twice == 0, "not exact: {never} jobs were never worked, {twice} more than once");
        Ok(())
    }
}

/// Fails unless both name the same things, each once.
pub(crate) fn same<T: Ord>(mut pushed: Vec<T>, mut worked: Vec<T>) -> Result<()> {
    let (want, have) = (pushed.len(), worked.len());
    pushed.sort_unstable();
    pushed.dedup();
    worked.sort_unstable();
    worked.dedup();
    let once = worked.len();
    ensure!(want == pushed.len(), "not exact: {} of {want} pushed ids are repeated", want - pushed.len());
    ensure!(once == have, "not exact: {} jobs were worked more than once", have - once);
    ensure!(pushed == worked, "not exact: of {want} pushed jobs {have} were worked, or others than those");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_exact_when_each_number_came_once() {
        let ledger = Ledger::new(3);
        [2, 0, 1].into_iter().for_each(|number| ledger.note(number));
        assert!(ledger.check().is_ok());
    }

    #[test]
    fn a_ledger_notices_lost_repeated_and_unknown_jobs() {
        for numbers in [vec![0, 1], vec![0, 1, 2, 2], vec![0, 1, 2, 9]] {
            let ledger = Ledger::new(3);
            numbers.into_iter().for_each(|number| ledger.note(number));
            assert!(ledger.check().is_err());
        }
    }

    #[test]
    fn ids_are_compared_as_sets_without_repeats() {
        assert!(same(vec![1, 2, 3], vec![3, 1, 2]).is_ok());
        for worked in [vec![1, 2], vec![1, 2, 3, 3], vec![1, 2, 4], vec![]] {
            assert!(same(vec![1, 2, 3], worked).is_err());
        }
        assert!(same(vec![1, 1], vec![1, 1]).is_err());
    }
}
