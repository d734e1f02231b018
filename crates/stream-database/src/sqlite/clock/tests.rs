//! What a clock says that goes, stands, or is set back.

use super::{Clock, SMALL_STEP};

#[test]
fn a_later_call_has_a_later_time() {
    let clock = Clock::default();
    assert_eq!(
        [5_000_000, 5_000_000, 4_500_000, 6_000_000].map(|machine| clock.at(machine)),
        [5_000_000, 5_000_001, 5_000_002, 6_000_000]
    );
}

#[test]
fn a_clock_that_is_set_back_far_is_followed() {
    let clock = Clock::default();
    clock.at(10 * SMALL_STEP);
    assert_eq!(clock.at(SMALL_STEP), SMALL_STEP);
}
