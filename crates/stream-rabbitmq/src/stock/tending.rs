//! What is to be done for a channel that nobody asked for: leases that ended, a buffer that is too full, consumers.

use tokio::time::Instant;

use super::{LINES, Line, NOBODYS, Phase, Stage, Stock, Tap};
use crate::arrivals::Tag;

/// What the tending task has to do now.
#[derive(Debug, Default)]
pub(crate) struct Duties {
    /// Consumers to cancel: line and turn.
    pub(crate) shut: Vec<(usize, u32)>,
    /// Consumers to open: line, turn and how many the broker may send.
    pub(crate) open: Vec<(usize, u32, u16)>,
    /// Deliveries whose lease has ended.
    pub(crate) lost: Vec<Tag>,
    /// Deliveries that waited in the buffer for too long.
    pub(crate) hand_back: Vec<Tag>,
    /// When to look again, unless something happens before.
    pub(crate) next: Option<Instant>,
    /// Nothing is left of a channel that was closed.
    pub(crate) is_finished: bool,
}

impl Line {
    /// Whether the broker may send nothing more, and nothing of what it sent is left.
    fn is_used_up(&self) -> bool {
        matches!(self.tap, Tap::Open { prefetch } if self.unacked >= prefetch) && self.waiting.is_empty()
    }
}

impl Stock {
    /// Somebody waits at all queues. Where no consumer is, one is wanted, for one job; where all that the broker may send
    /// was handed out, as many more as were asked for last.
    pub(crate) fn want_all(&mut self) {
        if self.stage != Stage::Open {
            return;
        }
        let more = u16::try_from(self.demand.max_jobs()).unwrap_or(u16::MAX).clamp(1, self.prefetch_max);
        for line in &mut self.lines {
            match line.tap {
                Tap::Shut => _ = line.wanted.get_or_insert(1),
                Tap::Open { .. } if line.is_used_up() => line.wanted = Some(more),
                Tap::Open { .. } | Tap::Shutting => {}
            }
        }
    }

    /// A reserve did not get so many jobs. Where all that the broker may send has been handed out, it may send more.
    pub(super) fn want(&mut self, queue: usize, missing: usize) {
        if self.stage != Stage::Open {
            return;
        }
        let missing = u16::try_from(missing).unwrap_or(u16::MAX).min(self.prefetch_max);
        for line in &mut self.lines[queue * LINES..(queue + 1) * LINES] {
            match line.tap {
                Tap::Shut => _ = line.wanted.get_or_insert(1),
                Tap::Open { .. } if line.is_used_up() => line.wanted = Some(missing),
                Tap::Open { .. } | Tap::Shutting => {}
            }
        }
    }

    /// No consumer is opened on this line.
    pub(crate) fn shun(&mut self, line: usize) {
        self.lines[line].is_shunned = true;
    }

    /// Its queue answers again.
    pub(crate) fn welcome(&mut self, line: usize) {
        self.lines[line].is_shunned = false;
        if self.stage == Stage::Open {
            self.lines[line].wanted.get_or_insert(1);
        }
    }

    /// Whether consumers of a queue are there, so that what the broker has of it is on the way.
    pub(crate) fn is_awaited(&self, queue: usize) -> bool {
        let lines = &self.lines[queue * LINES..(queue + 1) * LINES];
        lines.iter().any(|line| matches!(line.tap, Tap::Open { .. }))
    }

    /// Whether the tending task must look sooner than it meant to.
    pub(crate) fn must_be_tended(&self) -> bool {
        let first = self.deadlines.first().map(|(deadline, _)| *deadline);
        let is_sooner = first.is_some_and(|first| self.tended_at.is_none_or(|next| first < next));
        is_sooner || self.lines.iter().any(|line| line.wanted.is_some()) || self.tended_at.is_none()
    }

    /// What is to be done now. What is named here is taken for done.
    pub(crate) fn tend(&mut self, now: Instant) -> Duties {
        let mut duties = Duties::default();
        if self.stage == Stage::Over {
            duties.is_finished = true;
            return duties;
        }
        self.end_leases(now, &mut duties);
        match self.stage {
            Stage::Open => self.judge_buffer(now, &mut duties),
            _ => self.empty_out(now, &mut duties),
        }
        self.open_taps(&mut duties);
        let first = self.deadlines.first().map(|(deadline, _)| *deadline);
        duties.next = [duties.next, first].into_iter().flatten().min();
        self.tended_at = duties.next;
        duties
    }

    /// The consumer of a line has ended; whether it was told to. If not, another is wanted.
    pub(crate) fn tap_ended(&mut self, line: usize, turn: u32) -> bool {
        self.taps -= 1;
        let line = &mut self.lines[line];
        if line.turn != turn {
            return true;
        }
        let was_told = line.tap == Tap::Shutting;
        line.tap = Tap::Shut;
        if !was_told && self.stage == Stage::Open {
            line.wanted = Some(1);
        }
        was_told
    }

    fn end_leases(&mut self, now: Instant, duties: &mut Duties) {
        while let Some((deadline, tag)) =
            self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)
        {
            self.deadlines.remove(&(deadline, tag));
            if let Some(held) = self.held.get_mut(&tag) {
                held.phase = Phase::Leaving { call: NOBODYS, deadline: Some(deadline) };
                duties.lost.push(tag);
            }
        }
    }

    /// Gives back what the buffer may no longer hold, and stops what fills it.
    fn judge_buffer(&mut self, now: Instant, duties: &mut Duties) {
        let allowance = self.demand.allowance(now);
        duties.next = allowance.until.filter(|_| self.buffered > 0 || self.has_open_taps());
        if !self.demand.is_there(now) {
            self.lines.iter_mut().for_each(|line| line.wanted = None);
            self.shut_taps(duties, |_| true);
        } else if self.buffered > allowance.jobs {
            self.shut_taps(duties, |has_buffered| has_buffered);
        }
        self.hand_back(allowance.jobs, duties);
    }

    /// Closes: nothing new, and everything in the buffer goes back.
    fn empty_out(&mut self, now: Instant, duties: &mut Duties) {
        self.lines.iter_mut().for_each(|line| line.wanted = None);
        self.shut_taps(duties, |_| true);
        self.hand_back(0, duties);
        let is_empty = self.taps == 0 && self.held.is_empty();
        let stays = self.stays_until().filter(|until| *until > now);
        duties.is_finished = is_empty && stays.is_none();
        duties.next = stays.filter(|_| is_empty);
    }

    fn has_open_taps(&self) -> bool {
        self.lines.iter().any(|line| line.tap != Tap::Shut)
    }

    fn shut_taps(&mut self, duties: &mut Duties, is_meant: impl Fn(bool) -> bool) {
        for (at, line) in self.lines.iter_mut().enumerate() {
            if matches!(line.tap, Tap::Open { .. }) && is_meant(!line.waiting.is_empty()) {
                line.tap = Tap::Shutting;
                duties.shut.push((at, line.turn));
            }
        }
    }

    /// The least urgent and youngest go first, until no more than so many are left.
    fn hand_back(&mut self, kept: usize, duties: &mut Duties) {
        for priority in (0..LINES).rev() {
            for line in (priority..self.lines.len()).step_by(LINES) {
                while self.buffered > kept {
                    let Some(tag) = self.lines[line].waiting.pop_back() else { break };
                    self.buffered -= 1;
                    if let Some(held) = self.held.get_mut(&tag) {
                        held.phase = Phase::Leaving { call: NOBODYS, deadline: None };
                        duties.hand_back.push(tag);
                    }
                }
            }
        }
    }

    fn open_taps(&mut self, duties: &mut Duties) {
        for (at, line) in self.lines.iter_mut().enumerate() {
            if line.is_shunned {
                line.wanted = None;
            }
            let Some(prefetch) = line.wanted else { continue };
            match line.tap {
                // Its end is awaited, so that no job is handed out past one that comes before.
                Tap::Shutting => continue,
                Tap::Open { .. } => duties.shut.push((at, line.turn)),
                Tap::Shut => {}
            }
            line.wanted = None;
            line.turn += 1;
            line.unacked = 0;
            line.tap = Tap::Open { prefetch };
            self.taps += 1;
            duties.open.push((at, line.turn, prefetch));
        }
    }
}
