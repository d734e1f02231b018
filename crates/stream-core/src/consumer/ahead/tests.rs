//! How many go ahead.

use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn as_many_go_ahead_as_end_twice_over_while_the_store_is_asked() {
    assert_eq!(ahead(100, 10 * MS, 2 * MS), 40);
    assert_eq!(ahead(1, 10 * MS, 2 * MS), 0);
}

#[test]
fn nothing_goes_ahead_where_nothing_ends() {
    assert_eq!(ahead(0, 10 * MS, 5 * MS), 0);
}

#[test]
fn a_store_that_hangs_is_not_answered_with_a_hoard() {
    assert_eq!(ahead(100, 100 * MS, Duration::from_secs(60)), 100);
}
