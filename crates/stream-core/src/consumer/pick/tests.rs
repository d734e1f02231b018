//! Who is asked next.

use super::*;

fn picks(picker: &mut Picker, count: usize) -> Vec<usize> {
    (0..count).map_while(|_| picker.next(Instant::now())).collect()
}

#[test]
fn queues_take_turns() {
    assert_eq!(picks(&mut Picker::new([1, 1, 1], false), 6), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_weight_is_a_share_and_nobody_starves() {
    let picked = picks(&mut Picker::new([3, 1], false), 8);
    assert_eq!(picked.iter().filter(|at| **at == 0).count(), 6);
    assert!(picked.windows(4).all(|four| four.contains(&1)), "{picked:?}");
}

#[test]
fn in_strict_order_the_first_with_work_is_asked() {
    let mut picker = Picker::new([1, 1], true);
    assert_eq!(picks(&mut picker, 3), [0, 0, 0]);
    picker.is_empty(0);
    assert_eq!(picks(&mut picker, 2), [1, 1]);
}

#[test]
fn a_failing_queue_pauses_and_the_others_go_on() {
    let mut picker = Picker::new([1, 1], false);
    assert!(picker.failed(0, Instant::now(), 1.0), "an outage begins");
    assert!(!picker.failed(0, Instant::now(), 1.0), "the same outage");
    assert_eq!(picks(&mut picker, 3), [1, 1, 1]);
    picker.is_empty(1);
    assert_eq!(picker.next(Instant::now()), None);
    let retry = picker.next_retry().unwrap();
    assert_eq!(picker.next(retry), Some(0));
    assert!(picker.answered(0), "the outage ends");
}

#[test]
fn pauses_grow_to_five_seconds_and_no_further() {
    assert_eq!(pause(1, 1.0), PAUSE_FIRST);
    assert_eq!(pause(1, 0.0), PAUSE_FIRST / 2);
    assert_eq!(pause(u32::MAX, 1.0), PAUSE_MAX);
}
