//! Where one job stands, which is the name of its file.

use std::time::{Duration, SystemTime};

use stream_core::{JobId, Priority, Receipt};

/// Nanoseconds since 1970 by the clock of this machine.
pub(crate) type Moment = u64;

/// Where one job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When it was pushed; names the job in its queue. No two are equal.
    pub(crate) key: Moment,
    /// When it was last written anew. Of two files of one job the later one counts.
    pub(crate) written: Moment,
    pub(crate) id: Option<JobId>,
    pub(crate) priority: Priority,
    pub(crate) attempt: u32,
    pub(crate) lost: u32,
    pub(crate) state: State,
}

/// What may become of a job next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Waiting { due: Moment },
    Leased { until: Moment, token: u64 },
    Dead,
}

/// What a receipt says: which job, and which delivery of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    pub(crate) key: Moment,
    /// Drawn by the reserve; the same job has another one in its next delivery.
    pub(crate) token: u64,
}

impl Entry {
    pub(crate) fn is_ready(&self, now: Moment) -> bool {
        match self.state {
            State::Waiting { due: at } | State::Leased { until: at, .. } => at <= now,
            State::Dead => false,
        }
    }

    /// Whether it is lent as this ticket says, be the lease over or not: nobody else took it since.
    pub(crate) fn is_lent_as(&self, ticket: Ticket) -> bool {
        matches!(self.state, State::Leased { token, .. } if token == ticket.token)
    }

    pub(crate) fn file_name(&self) -> String {
        let Self { key, written, priority, attempt, lost, state, .. } = self;
        let id =
            self.id.map_or("none".to_owned(), |id| format!("{:032x}", u128::from_be_bytes(*id.as_bytes())));
        let state = match state {
            State::Waiting { due } => format!("w{due:016x}"),
            State::Leased { until, token } => format!("l{until:016x}.{token:016x}"),
            State::Dead => "d".to_owned(),
        };
        format!("{key:016x}.{written:016x}.{id}.{}.{attempt}.{lost}.{state}", priority.level())
    }

    /// None for a file that is no job.
    pub(crate) fn read(file_name: &str) -> Option<Self> {
        let mut parts = file_name.split('.');
        let mut next = || parts.next();
        let (key, written, id) = (hex(next()?)?, hex(next()?)?, next()?);
        let id = match id {
            "none" => None,
            id => Some(JobId::from_bytes(u128::from_str_radix(id, 16).ok()?.to_be_bytes())),
        };
        let priority = Priority::from_level(next()?.parse().ok()?)?;
        let (attempt, lost) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let (kind, at) = next()?.split_at_checked(1)?;
        let state = match kind {
            "w" => State::Waiting { due: hex(at)? },
            "l" => State::Leased { until: hex(at)?, token: hex(next()?)? },
            "d" => State::Dead,
            _ => return None,
        };
        Some(Self { key, written, id, priority, attempt, lost, state })
    }
}

impl Ticket {
    pub(crate) fn to_receipt(self) -> Receipt {
        Receipt::new([self.key.to_be_bytes(), self.token.to_be_bytes()].concat())
    }

    /// None for bytes that this driver did not make.
    pub(crate) fn read(receipt: &Receipt) -> Option<Self> {
        let (fields, []) = receipt.as_bytes().as_chunks::<8>() else { return None };
        let &[key, token] = fields else { return None };
        Some(Self { key: u64::from_be_bytes(key), token: u64::from_be_bytes(token) })
    }
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

pub(crate) fn now() -> Moment {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, nanoseconds)
}

/// A moment that never comes where the wait is beyond what the clock can say.
pub(crate) fn after(wait: Duration) -> Moment {
    now().saturating_add(nanoseconds(wait))
}

fn nanoseconds(span: Duration) -> u64 {
    span.as_nanos().try_into().unwrap_or(u64::MAX)
}
