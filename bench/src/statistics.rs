//! Medians, percentiles, spreads and changes. Pure.

use serde::{Deserialize, Serialize};

/// The middle of some rounds and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None if there are no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Some(Self { median, min, max })
    }

    /// Whether there were several rounds to tell apart.
    pub(crate) fn is_known(&self) -> bool {
        self.min < self.max
    }

    /// Whether a value of one could be a value of the other.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// The smallest value that at least `percent` of all are not above; none if there are no values.
pub(crate) fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// By how many per cent `new` is above `old`; none if there is nothing to compare with.
pub(crate) fn change_percent(old: f64, new: f64) -> Option<f64> {
    (old != 0.0).then(|| (new / old - 1.0) * 100.0)
}

/// What the first is of the second, round by round.
pub(crate) fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_of_rounds_is_the_middle_one() {
        let spread = Spread::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, min: 1.0, max: 5.0 });
    }

    #[test]
    fn the_median_of_an_even_number_of_rounds_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 100.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, min: 1.0, max: 100.0 });
    }

    #[test]
    fn one_round_is_its_own_median_and_no_round_has_none() {
        assert_eq!(Spread::of(&[7.0]), Some(Spread { median: 7.0, min: 7.0, max: 7.0 }));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let found = [0.0, 50.0, 95.0, 99.0, 100.0].map(|percent| percentile(&values, percent).unwrap());
        assert_eq!(found, [1.0, 100.0, 190.0, 198.0, 200.0]);
        assert_eq!(percentile(&[3.0], 99.0), Some(3.0));
    }

    #[test]
    fn a_change_is_in_per_cent_of_the_old_value() {
        assert_eq!(change_percent(100.0, 110.0).map(f64::round), Some(10.0));
        assert_eq!(change_percent(200.0, 100.0), Some(-50.0));
        assert_eq!(change_percent(0.0, 1.0), None);
    }

    #[test]
    fn a_ratio_pairs_the_figures_of_the_same_round() {
        assert_eq!(ratios(&[1.0, 6.0], &[2.0, 3.0]), [0.5, 2.0]);
    }

    #[test]
    fn spreads_overlap_when_a_value_may_belong_to_both() {
        let spread = |min, max| Spread { median: min, min, max };
        assert!(spread(1.0, 3.0).overlaps(&spread(3.0, 4.0)));
        assert!(spread(3.0, 4.0).overlaps(&spread(1.0, 3.0)));
        assert!(!spread(1.0, 2.0).overlaps(&spread(3.0, 4.0)));
    }
}
