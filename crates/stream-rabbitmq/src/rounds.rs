//! Writes messages again that the broker did not keep, a few times, and remembers the fate of each.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    fault::{Failure, Fault, Outcome},
    publish::Fate,
};

/// How often a message is written that is refused: a quorum queue that was just made, or lost its leader, takes none
/// until it has one.
const TRIES: u32 = 7;
/// Before the second try; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a message is written for which no queue is there: it is declared again in between.
const ROUTES: u32 = 2;

/// Some messages and what became of them so far.
#[derive(Debug)]
pub(crate) struct Rounds {
    outcomes: Vec<Outcome<()>>,
    open: Vec<usize>,
    tries: u32,
    routes: u32,
    is_refused: bool,
}

impl Rounds {
    /// None was written; `unroutable` is the answer for those that never find a queue.
    pub(crate) fn new(messages: usize, unroutable: &Failure) -> Self {
        let outcomes = (0..messages).map(|_| Err(unroutable.clone())).collect();
        Self { outcomes, open: (0..messages).collect(), tries: 0, routes: 0, is_refused: false }
    }

    /// The places of the messages to write next; none when all is decided.
    pub(crate) async fn next(&mut self) -> Option<Vec<usize>> {
        if self.open.is_empty() || self.tries == TRIES || self.routes == ROUTES {
            return None;
        }
        if std::mem::take(&mut self.is_refused) {
            sleep(PAUSE * 2_u32.pow(self.tries - 1)).await;
        }
        self.tries += 1;
        Some(self.open.clone())
    }

    /// What became of those that were written last; whether one found no queue.
    pub(crate) fn judge(&mut self, fates: Vec<Fate>) -> bool {
        let mut is_unroutable = false;
        for (at, fate) in std::mem::take(&mut self.open).into_iter().zip(fates) {
            match fate {
                Fate::Confirmed => self.outcomes[at] = Ok(()),
                Fate::Failed(failure) => self.outcomes[at] = Err(failure),
                Fate::Unroutable => {
                    is_unroutable = true;
                    self.open.push(at);
                }
                Fate::Refused => {
                    let detail = "the broker refused the message: its queue is full or has no leader";
                    self.outcomes[at] = Err(Failure::new(Fault::Away, detail));
                    self.is_refused = true;
                    self.open.push(at);
                }
            }
        }
        self.routes += u32::from(is_unroutable);
        is_unroutable
    }

    /// Those that are open could not be written.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.open.drain(..).for_each(|at| self.outcomes[at] = Err(failure.clone()));
    }

    pub(crate) fn outcomes(self) -> Vec<Outcome<()>> {
        self.outcomes
    }
}
