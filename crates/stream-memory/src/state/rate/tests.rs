//! The log against a list of every take, over many random pasts.

use std::time::Duration;

use stream_core::RateLimit;
use tokio::time::Instant;

use super::{KEPT, TakeLog};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The most takes in any window: one that begins with a take holds as many as any.
fn most_in_a_window(takes: &[Instant], window: Duration) -> usize {
    let within = |first: &Instant| takes.iter().filter(|at| *first <= **at && **at < *first + window).count();
    takes.iter().map(within).max().unwrap_or(0)
}

fn take(log: &mut TakeLog, limit: RateLimit, wanted: usize, now: Instant, takes: &mut Vec<Instant>) -> usize {
    let taken = wanted.min(log.permits(limit, now));
    log.note(taken, limit.window, now);
    takes.extend(std::iter::repeat_n(now, taken));
    taken
}

#[test]
fn no_window_holds_more_than_the_limit() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let limit = RateLimit::new(1 + random.below(20) as u32, SECOND);
        let (mut log, mut now, mut takes) = (TakeLog::default(), Instant::now(), Vec::new());
        for _ in 0..300 {
            now += Duration::from_micros(random.below(200_000) * random.below(2));
            take(&mut log, limit, random.below(8) as usize, now, &mut takes);
        }
        let most = most_in_a_window(&takes, SECOND);
        assert!(most <= limit.limit as usize, "seed {seed}: {most} takes under {limit:?}");
    }
}

#[test]
fn at_least_95_percent_of_the_limit_go_under_a_backlog() {
    for seed in 0..50 {
        let mut random = Random(seed);
        let limit = RateLimit::new(100, SECOND);
        let (mut log, mut now, mut takes) = (TakeLog::default(), Instant::now(), Vec::new());
        let end = now + SECOND * 50;
        while now < end {
            take(&mut log, limit, 1 + random.below(3) as usize, now, &mut takes);
            now += Duration::from_micros(500 + random.below(1_000));
        }
        assert!(takes.len() >= 95 * 50, "seed {seed}: only {} takes", takes.len());
    }
}

#[test]
fn each_reserve_is_judged_by_its_own_limit_against_all_takes() {
    let (mut log, now) = (TakeLog::default(), Instant::now());
    let (tight, wide) = (RateLimit::new(5, SECOND), RateLimit::new(7, SECOND * 60));
    log.note(5, tight.window, now);
    assert_eq!((log.permits(tight, now), log.permits(wide, now)), (0, 2));
    log.note(2, wide.window, now + SECOND);
    assert_eq!((log.permits(tight, now + SECOND), log.permits(wide, now + SECOND)), (3, 0));
}

#[test]
fn a_permit_is_free_when_it_was_said_to_be_and_not_before() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let limit = RateLimit::new(1 + random.below(5) as u32, SECOND);
        let (mut log, mut now, mut takes) = (TakeLog::default(), Instant::now(), Vec::new());
        for _ in 0..100 {
            now += Duration::from_millis(random.below(300));
            take(&mut log, limit, random.below(4) as usize, now, &mut takes);
            if log.permits(limit, now) > 0 {
                continue;
            }
            let free = log.next_permit(limit).unwrap();
            assert_eq!(log.permits(limit, free - Duration::from_nanos(1)), 0, "seed {seed}");
            assert!(log.permits(limit, free) > 0, "seed {seed}");
        }
    }
}

#[test]
fn a_limit_of_nothing_lets_nothing_go() {
    let limit = RateLimit::new(0, SECOND);
    let log = TakeLog::default();
    assert_eq!((log.permits(limit, Instant::now()), log.next_permit(limit)), (0, None));
}

#[test]
fn the_log_is_as_long_as_its_longest_window() {
    let limit = RateLimit::new(u32::MAX, SECOND);
    let (mut log, mut now) = (TakeLog::default(), Instant::now());
    for _ in 0..100_000 {
        log.note(1, limit.window, now);
        now += Duration::from_millis(11);
    }
    assert!(log.entries.len() <= KEPT, "{} entries", log.entries.len());
    let in_the_last_second = log.total - (u64::from(limit.limit) - log.permits(limit, now) as u64);
    assert_eq!(in_the_last_second, 100_000 - 90);
}
