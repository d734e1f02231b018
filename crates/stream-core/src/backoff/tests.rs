//! The waits, extreme values included.

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn waits_follow_the_table() {
    let list = || Backoff::list([S(1), S(5), S(30)]).jitter(0.0);
    let double = || Backoff::exponential(S(5), 2.0).jitter(0.0);
    let table = [
        (double(), 0, S(5)),
        (double(), 1, S(5)),
        (double(), 2, S(10)),
        (double(), 10, S(2560)),
        (double(), 11, S(3600)),
        (double(), u32::MAX, S(3600)),
        (double().up_to(S(7)), 9, S(7)),
        (Backoff::fixed(S(9)).jitter(0.0), u32::MAX, S(9)),
        (Backoff::fixed(Duration::ZERO), u32::MAX, S(0)),
        (Backoff::exponential(Duration::ZERO, 1e6), u32::MAX, S(0)),
        (list(), 1, S(1)),
        (list(), 2, S(5)),
        (list(), 3, S(30)),
        (list(), u32::MAX, S(30)),
    ];
    for (backoff, attempt, expected) in table {
        assert_eq!(backoff.delay(attempt, 0.5), expected, "{backoff:?} at {attempt}");
    }
}

#[test]
fn absurd_values_never_panic_and_never_pass_the_cap() {
    let factors = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1e300];
    for factor in factors {
        for first in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            for attempt in [0, 1, 2, 1000, u32::MAX] {
                let backoff = Backoff::exponential(first, factor).jitter(f64::NAN);
                assert!(backoff.delay(attempt, f64::NAN) <= S(3600));
                assert!(backoff.longest() <= S(3600));
                assert!(backoff.up_to(Duration::MAX).delay(attempt, 2.0) <= LONGEST);
            }
        }
    }
}

#[test]
fn a_wait_that_is_no_duration_is_the_cap_and_never_less() {
    assert_eq!(Backoff::fixed(S(9)).jitter(f64::NAN).delay(1, 0.5), S(3600));
    assert_eq!(Backoff::exponential(S(1), f64::NAN).delay(2, 0.5), S(3600));
}

#[test]
fn jitter_spreads_both_ways_and_the_cap_holds() {
    let backoff = Backoff::fixed(S(100)).jitter(0.1);
    assert_eq!(backoff.delay(1, 0.0), S(90));
    assert!(backoff.delay(1, 0.999_999) > S(109));
    assert_eq!(backoff.longest(), S(110));
    assert!(backoff.up_to(S(105)).delay(1, 0.999_999) <= S(105));
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    let bad = [
        Backoff::exponential(S(1), 0.5),
        Backoff::exponential(S(1), f64::NAN),
        Backoff::exponential(S(1), f64::INFINITY),
        Backoff::exponential(S(7200), 2.0),
        Backoff::fixed(S(1)).jitter(f64::NAN),
        Backoff::fixed(S(1)).jitter(1.1),
        Backoff::fixed(S(1)).jitter(-0.1),
        Backoff::fixed(S(1)).up_to(Duration::MAX),
        Backoff::list(vec![]),
        Backoff::list([Duration::MAX]),
        Backoff::list([S(1); 65]),
    ];
    for backoff in bad {
        let error = backoff.validate().unwrap_err();
        assert_eq!(error.kind(), &crate::ErrorKind::InvalidJob, "{backoff:?}");
    }
    assert!(Backoff::DEFAULT.validate().is_ok());
    assert!(Backoff::list([S(86_400)]).validate().is_ok());
}
