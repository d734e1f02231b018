//! Batches as the functions take them: ids in order, none twice.

use sqlx::{Row as _, postgres::PgRow, types::Uuid};

use super::{faults::running, jobs::uuid};
use crate::{
    fault::Outcome,
    row::{Fenced, Key},
};

/// What one call of a function takes, by the places in the batch.
pub(super) struct Turn(Vec<usize>);

/// Nearly always one. Two deliveries of one job, of which one at most is current, go after each other.
pub(super) fn turns(keys: &[Key]) -> Vec<Turn> {
    let mut places: Vec<usize> = (0..keys.len()).collect();
    places.sort_unstable_by_key(|place| keys[*place].id.as_bytes());
    let mut turns = Vec::new();
    while !places.is_empty() {
        let mut turn: Vec<usize> = Vec::with_capacity(places.len());
        places.retain(|place| {
            let is_repeated = turn.last().is_some_and(|last| keys[*last].id == keys[*place].id);
            if !is_repeated {
                turn.push(*place);
            }
            is_repeated
        });
        turns.push(Turn(turn));
    }
    turns
}

impl Turn {
    pub(super) fn ids(&self, keys: &[Key]) -> Vec<Uuid> {
        self.each(keys, |key| uuid(key.id))
    }

    pub(super) fn tokens(&self, keys: &[Key]) -> Vec<i64> {
        self.each(keys, |key| key.token)
    }

    pub(super) fn each<'i, I, T>(&self, items: &'i [I], value: impl Fn(&'i I) -> T) -> Vec<T> {
        self.0.iter().map(|place| value(&items[*place])).collect()
    }

    /// Notes those that were not current, by their places from 1 in what the function took.
    pub(super) fn note(&self, answers: &mut [Fenced], row: &PgRow) -> Outcome<()> {
        let over: Vec<i32> = row.try_get(0).map_err(running)?;
        over.into_iter().for_each(|place| self.set(answers, place, Fenced::Over));
        Ok(())
    }

    pub(super) fn set(&self, answers: &mut [Fenced], place: i32, fenced: Fenced) {
        let nth = usize::try_from(place - 1).ok().and_then(|nth| self.0.get(nth));
        if let Some(answer) = nth.and_then(|place| answers.get_mut(*place)) {
            *answer = fenced;
        }
    }
}
