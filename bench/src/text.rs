//! Numbers and tables as people read them.

use crate::{report::Unit, statistics::Spread};

/// Three digits that matter, with the unit.
pub(crate) fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::JobsPerSecond => format!("{}/s", short(value)),
        Unit::Microseconds if value >= 10_000.0 => format!("{:.1} ms", value / 1e3),
        Unit::Microseconds => format!("{} µs", digits(value)),
        Unit::Percent => format!("{value:.2} %"),
        Unit::Bytes if value >= 1e6 => format!("{:.1} MB", value / 1e6),
        Unit::Bytes => format!("{value:.0} B"),
        Unit::PerMinute => format!("{value:.0}/min"),
    }
}

/// The median and, of several rounds, how far they lie apart.
pub(crate) fn spread(spread: &Spread, unit: Unit) -> String {
    let median = value(spread.median, unit);
    if !spread.is_known() {
        return median;
    }
    let bare = |number: f64| value(number, unit).split(['/', ' ']).next().unwrap_or_default().to_owned();
    format!("{median} ({}..{})", bare(spread.min), bare(spread.max))
}

/// Lines of cells, the first column to the left, the others to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, at: usize| row.get(at).map_or(0, |cell| cell.chars().count());
    let widths: Vec<_> = (0..columns).map(|at| rows.iter().map(|row| cell(row, at)).max()).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let width = width.unwrap_or(0);
            match at {
                0 => line += &format!("{cell:<width$}"),
                _ => line += &format!("  {cell:>width$}"),
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A ratio with its spread, if there were several rounds.
pub(crate) fn ratio(ratio: &Spread) -> String {
    let one = |value: f64| if value < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") };
    match ratio.is_known() {
        false => one(ratio.median),
        true => format!("{} ({}..{})", one(ratio.median), one(ratio.min), one(ratio.max)),
    }
}

fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{:.2}M", value / 1e6),
        1e5.. => format!("{:.0}k", value / 1e3),
        1e4.. => format!("{:.1}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

fn digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_unit() {
        assert_eq!(value(1_234_567.0, Unit::JobsPerSecond), "1.23M/s");
        assert_eq!(value(45_678.0, Unit::JobsPerSecond), "45.7k/s");
        assert_eq!(value(0.123_4, Unit::Microseconds), "0.12 µs");
        assert_eq!(value(12_345.0, Unit::Microseconds), "12.3 ms");
        assert_eq!(value(612.0, Unit::Bytes), "612 B");
    }

    #[test]
    fn a_spread_shows_its_ends_only_when_there_are_several_rounds() {
        let several = Spread { median: 2_000.0, min: 1_000.0, max: 3_000.0 };
        assert_eq!(spread(&several, Unit::JobsPerSecond), "2000/s (1000..3000)");
        let one = Spread { median: 2.0, min: 2.0, max: 2.0 };
        assert_eq!(spread(&one, Unit::Microseconds), "2.00 µs");
        assert_eq!(ratio(&Spread { median: 0.012, min: 0.01, max: 1.5 }), "0.012 (0.010..1.50)");
    }

    #[test]
    fn columns_are_aligned_by_characters_not_bytes() {
        let rows = [["a", "1 µs"], ["load", "100 µs"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "a       1 µs\nload  100 µs\n");
    }
}
