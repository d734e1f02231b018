//! The decisions, extreme values included.

use super::*;
use crate::{Backoff, Draft};
use std::time::Duration;

fn envelope(max_attempts: u32) -> Envelope {
    let backoff = Backoff::exponential(Duration::from_secs(5), 2.0).jitter(0.0);
    Draft::named("n", &()).max_attempts(max_attempts).backoff(backoff).into_job().unwrap().envelope
}

#[test]
fn decisions_follow_the_table() {
    let retry = |secs| Outcome::Retry { after: Duration::from_secs(secs), error: "e".into() };
    let buried = || Outcome::Bury { error: "e".into() };
    let release = |after| Outcome::Release { after };
    let table: Vec<(u32, u32, JobError, Outcome)> = vec![
        (1, 3, JobError::retry("e"), retry(5)),
        (2, 3, JobError::retry("e"), retry(10)),
        (3, 3, JobError::retry("e"), buried()),
        (1, 1, JobError::retry("e"), buried()),
        (u32::MAX, u32::MAX, JobError::retry("e"), buried()),
        (u32::MAX - 1, u32::MAX, JobError::retry("e"), retry(3600)),
        (1, 3, JobError::retry_after(Duration::from_secs(7), "e"), retry(7)),
        (1, 3, JobError::retry_after(Duration::ZERO, "e"), retry(0)),
        (1, 3, JobError::retry_after(Duration::MAX, "e"), retry(LONGEST.as_secs())),
        (3, 3, JobError::retry_after(Duration::ZERO, "e"), buried()),
        (1, 3, JobError::bury("e"), buried()),
        (u32::MAX, 1, JobError::release(), release(Duration::ZERO)),
        (9, 1, JobError::release_after(Duration::MAX), release(LONGEST)),
    ];
    for (attempt, max_attempts, error, expected) in table {
        let outcome = decide(&envelope(max_attempts), attempt, Err(&error), 0.5);
        assert_eq!(outcome, expected, "attempt {attempt} of {max_attempts}: {error:?}");
    }
    assert_eq!(decide(&envelope(1), u32::MAX, Ok(()), 0.5), Outcome::Done);
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let error = JobError::bury("ä".repeat(2_000));
    let Outcome::Bury { error } = decide(&envelope(1), 1, Err(&error), 0.5) else { panic!("not buried") };
    assert_eq!(error, "ä".repeat(500));
}

#[test]
fn only_a_job_lost_max_lost_times_is_buried_unrun() {
    assert_eq!(too_often_lost(4, 5), None);
    assert!(matches!(too_often_lost(5, 5), Some(Outcome::Bury { .. })));
    assert!(matches!(too_often_lost(u32::MAX, 5), Some(Outcome::Bury { .. })));
}

#[test]
fn a_job_without_a_handler_waits_a_minute_and_is_buried_when_attempts_end() {
    assert!(
        matches!(no_handler(&envelope(2), 1, 0.5), Outcome::Retry { after, .. } if after.as_secs() == 60)
    );
    assert!(matches!(no_handler(&envelope(2), 2, 0.5), Outcome::Bury { .. }));
}
