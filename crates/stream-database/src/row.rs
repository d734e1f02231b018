//! What crosses the seam: rows and their keys, in the words of the tables.

use std::time::Duration;

use stream_core::{Envelope, JobId, Undecodable};

/// A job to be stored.
#[derive(Clone, Copy)]
pub(crate) struct NewRow<'a> {
    pub(crate) id: JobId,
    /// The bytes of the envelope, which are stored as they are.
    pub(crate) payload: &'a [u8],
    /// 0 for critical to 3 for low.
    pub(crate) priority: u8,
    /// From the store's now.
    pub(crate) delay: Duration,
    /// At most 255 bytes of UTF-8, NUL among them.
    pub(crate) unique_key: Option<&'a [u8]>,
}

/// What the payload of a row holds; the column knows the job even if its bytes do not.
pub(crate) fn envelope(id: JobId, payload: Vec<u8>) -> Result<Envelope, Undecodable> {
    Envelope::from_bytes(payload).map_err(|mut undecodable| {
        undecodable.id.get_or_insert(id);
        undecodable
    })
}

/// Limits of one `reserve`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Take {
    /// At least 1; what a driver call asks for may be more than [`Limits::rows`](crate::dialect::Limits).
    pub(crate) max_jobs: usize,
    pub(crate) lease: Duration,
    /// The fence of all rows that this call takes: 64 random bits.
    pub(crate) token: i64,
}

/// A row that was taken.
pub(crate) struct Row {
    /// Of the column; the bytes of the payload may say otherwise, or nothing.
    pub(crate) id: JobId,
    pub(crate) payload: Vec<u8>,
    /// Deliveries that ended with a retry.
    pub(crate) attempts: u32,
    /// Deliveries that ended with no outcome, this reserve's finding included.
    pub(crate) lost: u32,
    /// UTF-8, NUL among it.
    pub(crate) last_error: Option<Vec<u8>>,
}

/// What a limited reserve came to.
pub(crate) struct Limited {
    pub(crate) rows: Vec<Row>,
    /// How long until a permit may be free, if there is none now.
    pub(crate) wait: Option<Duration>,
}

/// When a queue's next row is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// One is due.
    Now,
    /// One is due then, unless something happens before.
    In(Duration),
    /// The queue has no rows.
    Never,
}

impl Next {
    /// From the microseconds until the due time of the first row, which may have passed.
    pub(crate) fn from_micros(until: Option<i64>) -> Self {
        match until {
            None => Self::Never,
            Some(micros) if micros <= 0 => Self::Now,
            Some(micros) => Self::In(Duration::from_micros(micros.unsigned_abs())),
        }
    }
}

/// A delivery: its row, and the token by which it is the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) id: JobId,
    pub(crate) token: i64,
}

/// A delivery that ends with its job waiting again.
#[derive(Clone, Copy)]
pub(crate) struct PutBack<'a> {
    pub(crate) key: Key,
    pub(crate) after: Duration,
    /// The error of a retry, none of a release.
    pub(crate) error: Option<&'a [u8]>,
}

/// A delivery that ends with its job dead.
#[derive(Clone, Copy)]
pub(crate) struct Burial<'a> {
    pub(crate) key: Key,
    pub(crate) error: &'a [u8],
}

/// What became of a fenced change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fenced {
    /// The token was current, the change is made.
    Applied,
    /// The token is not in the row, or the row is gone; nothing was changed.
    Over,
    /// Another transaction holds the row; nothing was changed. Only `extend` answers so.
    #[allow(dead_code, reason = "not every database locks rows")]
    Locked,
}

impl Fenced {
    /// One answer for each of `count` items, from the places (from 1) of those that were changed.
    #[allow(dead_code, reason = "not every database answers with places")]
    pub(crate) fn applied(count: usize, places: impl IntoIterator<Item = i64>) -> Vec<Self> {
        let mut answers = vec![Self::Over; count];
        for place in places {
            let index = usize::try_from(place - 1).ok();
            if let Some(answer) = index.and_then(|index| answers.get_mut(index)) {
                *answer = Self::Applied;
            }
        }
        answers
    }
}

/// A dead letter.
pub(crate) struct Letter {
    pub(crate) burial: i64,
    pub(crate) id: JobId,
    pub(crate) payload: Vec<u8>,
    pub(crate) attempts: u32,
    pub(crate) lost: u32,
    pub(crate) error: Vec<u8>,
}

/// Some letters by the numbers of their burials: larger than `after`, at most `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Burials {
    pub(crate) after: i64,
    pub(crate) until: i64,
    pub(crate) limit: usize,
}

/// What a step over letters came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// How many letters were revived or removed.
    pub(crate) count: u64,
    /// The largest number that was looked at, moved or not; none if there was no letter.
    pub(crate) last: Option<i64>,
}
