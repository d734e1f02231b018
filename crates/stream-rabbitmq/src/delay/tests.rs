//! How a delay is cut into levels.

use super::*;

fn waits(seconds: u32) -> u64 {
    let mut headers = FieldTable::default();
    steer(&mut headers, seconds, TO_QUEUE);
    let is_set = |level: u32| headers.inner().get(header(level).as_str()) == Some(&AMQPValue::Boolean(true));
    let total: i64 = (0..28).filter(|level| is_set(*level)).map(wait_ms).sum();
    total.cast_unsigned()
}

#[test]
fn waits_at_the_levels_add_up_to_the_delay() {
    for seconds in [1, 2, 3, 59, 60, 3_600, 86_400, (1 << 28) - 1] {
        assert_eq!(waits(seconds), u64::from(seconds) * 1_000);
    }
}

#[test]
fn part_of_a_second_is_a_whole_one() {
    for (delay, rounded) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)] {
        assert_eq!(seconds(Duration::from_millis(delay)), rounded);
    }
    assert_eq!(seconds(LONGEST), (1 << 28) - 1);
}

#[test]
fn chain_has_28_levels() {
    assert_eq!(top_level(seconds(LONGEST)), Some(27));
    assert_eq!(top_level(1), Some(0));
    assert_eq!(top_level(0), None);
}
