//! No window holds more takes than the limit, and the log stays short.

use std::time::Duration;

use stream_core::RateLimit;

use super::{ENTRIES_MAX, TakeLog};

fn empty() -> TakeLog {
    TakeLog::read(&[]).unwrap()
}

/// Takes all that is permitted at each of these times; when each job was taken.
fn takes(log: &mut TakeLog, limit: RateLimit, times: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut taken = Vec::new();
    for now in times {
        let permits = log.permits(limit, now);
        log.note(permits, limit, now);
        taken.extend(std::iter::repeat_n(now, permits));
    }
    taken
}

#[test]
fn no_window_holds_more_than_the_limit_and_nearly_all_of_it_is_used() {
    let limit = RateLimit::new(7, Duration::from_millis(1));
    let taken = takes(&mut empty(), limit, (0..20_000).step_by(3));
    assert!(taken.windows(8).all(|eight| eight[7] - eight[0] >= 1_000));
    assert!(taken.len() >= 7 * 19, "{} takes", taken.len());
}

#[test]
fn a_full_burst_is_not_followed_by_a_second_one() {
    let limit = RateLimit::per_second(10);
    let mut log = empty();
    log.note(10, limit, 5);
    assert_eq!(log.permits(limit, 1_000_004), 0);
    assert_eq!(log.wait(limit, 4), Some(Duration::from_secs(1)));
    assert_eq!(log.permits(limit, 1_000_005), 10);
    assert_eq!(log.wait(limit, 1_000_005), None);
}

#[test]
fn each_limit_is_judged_against_all_takes() {
    let mut log = empty();
    log.note(2, RateLimit::per_minute(2), 0);
    assert_eq!(log.permits(RateLimit::per_minute(3), 1), 1);
    assert_eq!(log.permits(RateLimit::new(2, Duration::from_micros(1)), 1), 2);
}

#[test]
fn a_clock_that_steps_back_gives_no_permits() {
    let limit = RateLimit::per_second(1);
    let mut log = empty();
    log.note(1, limit, 10_000_000);
    assert_eq!(log.permits(limit, 0), 0);
    assert_eq!(log.time(0), 10_000_000);
}

#[test]
fn the_log_stays_short_and_keeps_the_limit() {
    let mut log = empty();
    log.note(1, RateLimit::new(1, Duration::from_micros(100)), 0);
    let day = RateLimit::new(2_000, Duration::from_secs(86_400));
    for now in 1..3_000 {
        let permitted = log.permits(day, now * 10).min(1);
        log.note(permitted, day, now * 10);
    }
    assert!(log.entries.len() <= ENTRIES_MAX);
    assert_eq!(log.entries.iter().map(|entry| entry.taken).sum::<u32>(), 2_000);
}

#[test]
fn bytes_come_back_and_foreign_ones_are_refused() {
    let mut log = empty();
    log.note(3, RateLimit::per_second(5), 1_700_000_000_000_000);
    log.note(1, RateLimit::per_minute(5), 1_700_000_009_000_000);
    assert_eq!(TakeLog::read(&log.to_bytes()).unwrap(), log);
    for bytes in [vec![2; 17], vec![1; 5], vec![1; 20]] {
        assert!(TakeLog::read(&bytes).is_err());
    }
}
