//! What one channel was given and has not ended: in the buffer, handed out, or on its way back. Pure but for the clock,
//! which is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    arrivals::{Ack, Arrivals, Tag},
    message::Message,
};

mod demand;
mod tending;

pub(crate) use demand::Demand;
pub(crate) use tending::Duties;

/// The queues of the broker that a channel takes from, four for each queue: the most urgent first.
pub(crate) const LINES: usize = 4;

/// How long the broker may take to apply acknowledgements. It has read them, but a quorum queue gets only some dozens
/// at a time, and what it has not got is forgotten with the channel (`quorum_commands_soft_limit`).
const APPLYING: Duration = Duration::from_millis(500);

/// The call of an errand that nobody waits for; those of settlements begin at 1.
const NOBODYS: u64 = 0;

/// What one channel was given and has not ended.
#[derive(Debug)]
pub(crate) struct Stock {
    held: BTreeMap<Tag, Held>,
    arrivals: Arrivals,
    lines: Vec<Line>,
    buffered: usize,
    deadlines: BTreeSet<(Instant, Tag)>,
    /// Consumers whose streams have not ended.
    taps: usize,
    /// When the last delivery was ended.
    ended_at: Option<Instant>,
    pub(crate) demand: Demand,
    pub(crate) stage: Stage,
    /// When the tending task looks next by itself.
    tended_at: Option<Instant>,
    prefetch_max: u16,
    lease_max: Duration,
}

/// How long a channel still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    /// Gives back what was not handed out; what was can still be settled.
    Closing,
    /// The channel is gone, and all receipts with it.
    Over,
}

/// One of the broker's queues, as this channel takes from it.
#[derive(Debug)]
struct Line {
    waiting: VecDeque<Tag>,
    tap: Tap,
    /// Counts the consumers that there were: each has a tag of its own.
    turn: u32,
    /// Deliveries of the present consumer that were not acknowledged: it gets no more than its prefetch.
    unacked: u16,
    /// A consumer is wanted that has the broker send so many.
    wanted: Option<u16>,
    /// The queue did not answer.
    is_shunned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tap {
    Shut,
    Open { prefetch: u16 },
    Shutting,
}

#[derive(Debug)]
struct Held {
    line: usize,
    turn: u32,
    message: Arc<Message>,
    /// The broker's own timeout runs from then on.
    arrived: Instant,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Buffered,
    HandedOut {
        deadline: Instant,
    },
    /// A copy of it is being written, after which it is acknowledged. Without a deadline it was never handed out.
    Leaving {
        call: u64,
        deadline: Option<Instant>,
    },
}

/// What became of the wish to end a delivery.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is this call's to end.
    Yes,
    /// Another call is ending it.
    Busy,
    /// It is over.
    Gone,
}

/// What became of the wish to extend a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extended {
    Yes,
    TooLong,
    Gone,
}

impl Stock {
    pub(crate) fn new(queues: usize, prefetch_max: u16, lease_max: Duration, now: Instant) -> Self {
        let line = || Line {
            waiting: VecDeque::new(),
            tap: Tap::Shut,
            turn: 0,
            unacked: 0,
            wanted: None,
            is_shunned: false,
        };
        Self {
            held: BTreeMap::new(),
            arrivals: Arrivals::default(),
            lines: (0..queues * LINES).map(|_| line()).collect(),
            buffered: 0,
            deadlines: BTreeSet::new(),
            taps: 0,
            ended_at: None,
            demand: Demand::new(now),
            stage: Stage::Open,
            tended_at: None,
            prefetch_max,
            lease_max,
        }
    }

    /// Enters a delivery into the buffer.
    pub(crate) fn arrived(&mut self, line: usize, turn: u32, tag: Tag, message: Message, now: Instant) {
        self.enter(line, turn, tag, message, now, Phase::Buffered);
        self.lines[line].waiting.push_back(tag);
        self.buffered += 1;
    }

    /// Enters a delivery that is not handed out: it was lost before, and the broker did not count that.
    pub(crate) fn arrived_lost(&mut self, line: usize, turn: u32, tag: Tag, message: Message, now: Instant) {
        self.enter(line, turn, tag, message, now, Phase::Leaving { call: NOBODYS, deadline: Some(now) });
    }

    fn enter(&mut self, line: usize, turn: u32, tag: Tag, message: Message, now: Instant, phase: Phase) {
        self.arrivals.note(tag);
        let present = &mut self.lines[line];
        if present.turn == turn {
            present.unacked = present.unacked.saturating_add(1);
        }
        self.held.insert(tag, Held { line, turn, message: Arc::new(message), arrived: now, phase });
    }

    /// Hands out up to `max_jobs` of a queue, the most urgent first.
    pub(crate) fn take(
        &mut self,
        queue: usize,
        max_jobs: usize,
        lease: Duration,
        now: Instant,
    ) -> Vec<(Tag, Arc<Message>)> {
        let mut taken = Vec::new();
        for line in queue * LINES..(queue + 1) * LINES {
            while taken.len() < max_jobs {
                let Some(tag) = self.lines[line].waiting.pop_front() else { break };
                self.buffered -= 1;
                let held = self.held.get_mut(&tag).expect("what waits is held");
                let deadline = now + lease.min(self.lease_max);
                held.phase = Phase::HandedOut { deadline };
                self.deadlines.insert((deadline, tag));
                taken.push((tag, held.message.clone()));
            }
        }
        self.demand.asked(max_jobs, lease, now);
        if taken.len() < max_jobs {
            self.want(queue, max_jobs - taken.len());
        }
        taken
    }

    /// The places of the queues that have something in the buffer.
    pub(crate) fn ready(&self) -> impl Iterator<Item = usize> + '_ {
        let queues = self.lines.chunks(LINES).enumerate();
        queues.filter(|(_, lines)| lines.iter().any(|line| !line.waiting.is_empty())).map(|(queue, _)| queue)
    }

    /// Whether a delivery is handed out and its lease has not ended.
    pub(crate) fn is_current(&self, tag: Tag, now: Instant) -> bool {
        matches!(self.held.get(&tag).map(|held| held.phase), Some(Phase::HandedOut { deadline }) if now < deadline)
    }

    /// Begins to end a delivery of a queue that was handed out. A lease that has ended is no hindrance, as long as the
    /// job was not given back.
    pub(crate) fn begin(&mut self, queue: usize, tag: Tag, call: u64) -> Begun {
        let Some(held) = self.held.get_mut(&tag).filter(|held| held.line / LINES == queue) else {
            return Begun::Gone;
        };
        match held.phase {
            Phase::HandedOut { deadline } => {
                self.deadlines.remove(&(deadline, tag));
                held.phase = Phase::Leaving { call, deadline: Some(deadline) };
                Begun::Yes
            }
            // Twice in one batch: the first decides.
            Phase::Leaving { call: other, .. } if other == call => Begun::Gone,
            Phase::Leaving { .. } => Begun::Busy,
            Phase::Buffered => Begun::Gone,
        }
    }

    /// Whether a call is ending this delivery.
    pub(crate) fn is_leaving(&self, tag: Tag) -> bool {
        matches!(self.held.get(&tag).map(|held| held.phase), Some(Phase::Leaving { .. }))
    }

    /// Ends deliveries, and says how to acknowledge them. To be sent before anything else changes.
    pub(crate) fn end(&mut self, tags: &mut [Tag], now: Instant) -> Vec<Ack> {
        self.ended_at = Some(now);
        tags.sort_unstable();
        for tag in &*tags {
            let Some(held) = self.held.remove(tag) else { continue };
            let line = &mut self.lines[held.line];
            if line.turn == held.turn {
                line.unacked = line.unacked.saturating_sub(1);
            }
        }
        self.arrivals.acks(tags, self.held.first_key_value().map(|(tag, _)| *tag))
    }

    /// A copy could not be written: the delivery is what it was before, a lease that is over lasts until then.
    pub(crate) fn keep(&mut self, tag: Tag, until: Instant) {
        let Some(held) = self.held.get_mut(&tag) else { return };
        let Phase::Leaving { deadline, .. } = held.phase else { return };
        match deadline {
            None => {
                held.phase = Phase::Buffered;
                self.buffered += 1;
                self.lines[held.line].waiting.push_front(tag);
            }
            Some(deadline) => {
                let deadline = deadline.max(until);
                held.phase = Phase::HandedOut { deadline };
                self.deadlines.insert((deadline, tag));
            }
        }
    }

    /// Moves the end of a lease.
    pub(crate) fn extend(&mut self, queue: usize, tag: Tag, lease: Duration, now: Instant) -> Extended {
        let lease_max = self.lease_max;
        let Some(held) = self.held.get_mut(&tag).filter(|held| held.line / LINES == queue) else {
            return Extended::Gone;
        };
        let Phase::HandedOut { deadline } = held.phase else { return Extended::Gone };
        let longest = held.arrived + lease_max;
        match now.checked_add(lease).filter(|until| *until <= longest) {
            None => Extended::TooLong,
            Some(until) => {
                self.deadlines.remove(&(deadline, tag));
                self.deadlines.insert((until, tag));
                held.phase = Phase::HandedOut { deadline: until };
                Extended::Yes
            }
        }
    }

    /// The channel is gone: all that it was given is the broker's again.
    pub(crate) fn over(&mut self) {
        self.stage = Stage::Over;
        self.held.clear();
        self.deadlines.clear();
        self.buffered = 0;
        self.lines.iter_mut().for_each(|line| line.waiting.clear());
    }

    /// Until when the channel must stay, so that the broker applies the last acknowledgements.
    pub(crate) fn stays_until(&self) -> Option<Instant> {
        self.ended_at.map(|ended| ended + APPLYING)
    }

    /// Whether nothing is left of what was not handed out, and nothing more comes.
    pub(crate) fn has_given_back(&self) -> bool {
        let is_back = |held: &Held| match held.phase {
            Phase::HandedOut { .. } => true,
            Phase::Leaving { deadline, .. } => deadline.is_some(),
            Phase::Buffered => false,
        };
        self.stage == Stage::Over || self.taps == 0 && self.held.values().all(is_back)
    }

    pub(crate) fn message(&self, tag: Tag) -> Option<(Arc<Message>, usize)> {
        self.held.get(&tag).map(|held| (held.message.clone(), held.line))
    }
}
