//! What `make bench` measures: the program, and the least that does the same work, in turns.
//!
//! Only ratios mean something on a machine with neighbours, and only those of one run.

pub mod cached_read;
pub mod checkout;
pub mod footprint;
pub mod reference;

use std::fmt;

/// How much work stands behind a figure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often program and reference take turns, after a first time that does not count.
    pub rounds: usize,
    /// Reads of one turn.
    pub requests: usize,
    /// Orders of one turn, by as many customers.
    pub orders: usize,
    /// How long the databases' turn takes.
    pub reference_seconds: u32,
}

/// What is wished of a ratio.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

/// The figures of two turns, one right after the other.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub program: f64,
    pub reference: f64,
}

/// The program's figures beside its reference's.
#[derive(Clone, Debug)]
pub struct Pair {
    pub name: &'static str,
    pub rounds: Vec<Round>,
    pub aim: Aim,
}

/// Several figures of one thing; not a number where there are none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Pair {
    /// The program's figure divided by that of the reference, round by round.
    pub fn ratio(&self) -> Spread {
        let ratios = self.rounds.iter();
        Spread::of(ratios.map(|round| round.program / round.reference))
    }
}

impl Spread {
    pub fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (figures.first(), figures.last()) else {
            return Self {
                median: f64::NAN,
                min: f64::NAN,
                max: f64::NAN,
            };
        };
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], figures[middle])
        } else {
            figures[middle]
        };
        Self { median, min, max }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(ratio) => write!(f, "≤ {ratio}"),
            Self::AtLeast(ratio) => write!(f, "≥ {ratio}"),
        }
    }
}

/// A line of the table; its head is [`Pair::HEAD`].
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Spread::of(self.rounds.iter().map(|round| round.program));
        let reference = Spread::of(self.rounds.iter().map(|round| round.reference));
        let Spread { median, min, max } = self.ratio();
        write!(
            f,
            "{:<34} {:>9.1} {:>10.1} {median:>7.2}  {min:.2}–{max:.2}  {}",
            self.name, program.median, reference.median, self.aim
        )
    }
}

impl Pair {
    pub const HEAD: &str =
        "medians                              program  reference   ratio  least–most  aim";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_taken_round_by_round() {
        let round = |program, reference| Round { program, reference };
        let pair = Pair {
            name: "a thing",
            // The machine was slow in the second round, for both.
            rounds: vec![round(2.0, 1.0), round(30.0, 10.0), round(4.0, 1.0)],
            aim: Aim::AtMost(1.4),
        };

        let ratio = pair.ratio();

        let expected = Spread {
            median: 3.0,
            min: 2.0,
            max: 4.0,
        };
        assert_eq!(ratio, expected);
        assert!(pair.to_string().ends_with("3.00  2.00–4.00  ≤ 1.4"));
    }

    #[test]
    fn between_two_middle_figures_lies_the_median() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0].into_iter()).median, 3.0);
        assert!(Spread::of(std::iter::empty()).median.is_nan());
    }
}
