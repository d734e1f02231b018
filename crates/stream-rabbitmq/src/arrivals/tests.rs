//! What one acknowledgement may cover.

use super::*;

fn seen(tags: &[Tag]) -> Arrivals {
    let mut arrivals = Arrivals::default();
    tags.iter().for_each(|tag| arrivals.note(*tag));
    arrivals
}

const fn one(tag: Tag) -> Ack {
    Ack { tag, multiple: false }
}

const fn all_to(tag: Tag) -> Ack {
    Ack { tag, multiple: true }
}

#[test]
fn neighbours_are_acknowledged_together() {
    assert_eq!(seen(&[1, 2, 3]).acks(&[1, 2, 3], None), [all_to(3)]);
    assert_eq!(seen(&[1, 2, 3]).acks(&[1], Some(2)), [one(1)]);
}

#[test]
fn nothing_that_is_kept_is_covered() {
    assert_eq!(seen(&[1, 2, 3, 4]).acks(&[1, 2, 4], Some(3)), [all_to(2), one(4)]);
    assert_eq!(seen(&[1, 2, 3]).acks(&[2, 3], Some(1)), [one(2), one(3)]);
}

#[test]
fn nothing_that_was_not_seen_is_covered() {
    assert_eq!(seen(&[1, 3, 4]).acks(&[1, 3, 4], None), [one(1), one(3), one(4)]);
    assert_eq!(seen(&[3, 4, 1, 2]).acks(&[1, 2, 3, 4], None), [all_to(4)]);
}

#[test]
fn what_was_acknowledged_before_is_no_gap() {
    assert_eq!(seen(&[1, 2, 3, 4, 5]).acks(&[4, 5], None), [all_to(5)]);
}
