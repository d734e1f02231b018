//! Which delivery tags of a channel were seen, and what one acknowledgement may cover.

use std::collections::BTreeSet;

/// A delivery tag: the broker numbers the deliveries of a channel from 1 on.
pub(crate) type Tag = u64;

/// One acknowledgement to send: of one delivery, or of all up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) tag: Tag,
    pub(crate) multiple: bool,
}

/// The tags seen so far.
///
/// Deliveries of a channel come through one stream for each of its consumers, so that a later one may be seen first. An
/// acknowledgement of "all up to" must never cover a delivery that was not seen: that job would be lost.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// All up to this one were seen.
    upto: Tag,
    ahead: BTreeSet<Tag>,
}

impl Arrivals {
    pub(crate) fn note(&mut self, tag: Tag) {
        if tag != self.upto + 1 {
            self.ahead.insert(tag);
            return;
        }
        self.upto = tag;
        while self.ahead.first() == Some(&(self.upto + 1)) {
            self.upto += 1;
            self.ahead.pop_first();
        }
    }

    /// How these are acknowledged with the fewest frames; `tags` are sorted, `oldest` is the first of those that are
    /// kept.
    pub(crate) fn acks(&self, tags: &[Tag], oldest: Option<Tag>) -> Vec<Ack> {
        let may_be_covered = |tag: &&Tag| **tag <= self.upto && oldest.is_none_or(|oldest| **tag < oldest);
        let covered = tags.iter().take_while(may_be_covered).count();
        let (covered, single) = tags.split_at(covered);
        let multiple = covered.last().map(|tag| Ack { tag: *tag, multiple: covered.len() > 1 });
        multiple.into_iter().chain(single.iter().map(|tag| Ack { tag: *tag, multiple: false })).collect()
    }
}

#[cfg(test)]
mod tests;
