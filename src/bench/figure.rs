//! What a run says: a median of its rounds, their range, and whether it is what was reached for.

use serde::{Serialize, Serializer};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One figure divided by another of the same round.
    Ratio,
    /// How many.
    Count,
    /// In a second.
    PerSecond,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds on a processor for each.
    Microseconds,
    /// Mebibytes.
    Mebibytes,
}

/// What is reached for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Target {
    /// Whether a figure is there.
    pub fn reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

/// One line of the result.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Which part it belongs to.
    pub part: &'static str,
    /// What it is.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// What is reached for; `None` for what is told beside.
    pub target: Option<Target>,
    /// One value for each round, in order.
    pub rounds: Vec<f64>,
}

impl Figure {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The middle one of the rounds.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// The lowest and the highest round.
    pub fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        let ends = sorted.first().copied().zip(sorted.last().copied());
        ends.unwrap_or((f64::NAN, f64::NAN))
    }

    /// Whether the median is what was reached for; `None` without a target.
    pub fn reached(&self) -> Option<bool> {
        self.target.map(|target| target.reached(self.median()))
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            part: &'a str,
            name: &'a str,
            unit: Unit,
            median: f64,
            low: f64,
            high: f64,
            target: Option<String>,
            reached: Option<bool>,
            rounds: &'a [f64],
        }
        let (low, high) = self.range();
        Shape {
            part: self.part,
            name: &self.name,
            unit: self.unit,
            median: self.median(),
            low,
            high,
            target: self.target.map(|target| target.to_string()),
            reached: self.reached(),
            rounds: &self.rounds,
        }
        .serialize(serializer)
    }
}

/// Everything a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// On what it ran, and what was left out and why.
    pub notes: Vec<String>,
    /// The figures, in order of the parts.
    pub figures: Vec<Figure>,
}

impl Report {
    /// An empty one, about this machine.
    pub(super) fn new(notes: Vec<String>) -> Self {
        Self {
            notes,
            figures: Vec::new(),
        }
    }

    /// Adds a remark.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a figure that no target is set for.
    pub(super) fn tell(&mut self, part: &'static str, name: &str, values: Values) {
        self.add(part, name, None, values);
    }

    /// Adds a figure that has to reach a target.
    pub(super) fn judge(&mut self, part: &'static str, name: &str, target: Target, values: Values) {
        self.add(part, name, Some(target), values);
    }

    fn add(&mut self, part: &'static str, name: &str, target: Option<Target>, (unit, rounds): Values) {
        if rounds.is_empty() {
            self.note(format!("{part}: this system does not tell \"{name}\""));
            return;
        }
        self.figures.push(Figure {
            part,
            name: name.to_owned(),
            unit,
            target,
            rounds,
        });
    }
}

/// One value for each round, and what it counts.
pub(super) type Values = (Unit, Vec<f64>);

/// One list divided by another, round by round.
pub(super) fn ratios((_, over): &Values, (_, under): &Values) -> Values {
    (
        Unit::Ratio,
        over.iter().zip(under).map(|(over, under)| over / under).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(rounds: &[f64], target: Option<Target>) -> Figure {
        Figure {
            part: "intake",
            name: "acks".to_owned(),
            unit: Unit::Ratio,
            target,
            rounds: rounds.to_vec(),
        }
    }

    #[test]
    fn the_median_is_the_middle_and_the_range_the_ends() {
        let odd = figure(&[3.0, 1.0, 2.5], None);
        assert_eq!((odd.median(), odd.range(), odd.reached()), (2.5, (1.0, 3.0), None));
        assert_eq!(figure(&[4.0, 1.0, 2.0, 3.0], None).median(), 2.5);
    }

    #[test]
    fn a_target_is_reached_from_its_side() {
        assert_eq!(figure(&[2.0], Some(Target::AtLeast(2.0))).reached(), Some(true));
        assert_eq!(figure(&[1.9], Some(Target::AtLeast(2.0))).reached(), Some(false));
        assert_eq!(figure(&[0.3], Some(Target::AtMost(0.33))).reached(), Some(true));
        assert_eq!(figure(&[0.4], Some(Target::AtMost(0.33))).reached(), Some(false));
    }

    #[test]
    fn rounds_are_paired() {
        let (over, under) = (vec![2.0, 9.0], vec![1.0, 3.0]);
        let divided = ratios(&(Unit::PerSecond, over), &(Unit::PerSecond, under));
        assert_eq!(divided, (Unit::Ratio, vec![2.0, 3.0]));
    }
}
