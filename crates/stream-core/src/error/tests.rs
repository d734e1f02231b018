//! How errors are shown, and how large they are.

use super::*;

#[test]
fn display_says_what_failed_and_debug_adds_the_causes() {
    let error = Error::new(ErrorKind::LeaseLost, "redis", "settle").caused_by("gone");
    assert_eq!(error.to_string(), "redis: settle failed: lease lost");
    assert_eq!(format!("{error:?}"), "redis: settle failed: lease lost: gone");
}

#[test]
fn an_error_is_one_word_large_so_that_results_stay_small() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert!(size_of::<Result<Pushed>>() <= 24);
}
