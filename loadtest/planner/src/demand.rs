//! What must be carried, and when.

use crate::capacity::Load;

/// A load that must be carried.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    pub name: String,
    pub months: u32,
    /// Public requests.
    pub requests_per_second: f64,
}

impl Load {
    /// The busiest hour of an ordinary day.
    pub fn ordinary(&self, months: f64) -> f64 {
        self.now.requests_per_second * (1.0 + self.growth_per_year).powf(months / 12.0)
    }

    /// What must be carried on ordinary days: growth, or the goal where that is more.
    pub fn peak(&self, months: f64) -> f64 {
        let due = self
            .goals
            .iter()
            .filter(|goal| f64::from(goal.months) <= months);
        let goals = due.map(|goal| goal.requests_per_second);
        goals.fold(self.ordinary(months), f64::max)
    }

    /// What a sale brings.
    pub fn sale(&self, months: f64) -> f64 {
        (self.ordinary(months) * self.season).max(self.peak(months))
    }

    /// In months.
    pub fn horizon(&self) -> f64 {
        f64::from(self.horizon_months)
    }

    /// Ordinary days from now to the horizon, at every goal.
    pub fn demands(&self) -> Vec<Demand> {
        let goals = self.goals.iter().map(|goal| goal.months);
        let mut months: Vec<u32> = goals
            .filter(|months| *months < self.horizon_months)
            .collect();
        months.extend([0, self.horizon_months]);
        months.sort_unstable();
        months.dedup();
        let demand = |months| Demand {
            name: when(months),
            months,
            requests_per_second: self.peak(f64::from(months)),
        };
        months.into_iter().map(demand).collect()
    }

    /// The sale at the horizon.
    pub fn sale_demand(&self) -> Demand {
        Demand {
            name: format!("sale {}", when(self.horizon_months)),
            months: self.horizon_months,
            requests_per_second: self.sale(f64::from(self.horizon_months)),
        }
    }

    /// The mean of a day, as a share of its busiest hour.
    pub fn mean_share(&self) -> f64 {
        self.hours.iter().sum::<f64>() / 24.0
    }

    pub fn quietest_share(&self) -> f64 {
        self.hours.iter().copied().fold(1.0, f64::min)
    }
}

fn when(months: u32) -> String {
    match months {
        0 => "now".to_owned(),
        1 => "in a month".to_owned(),
        12 => "in a year".to_owned(),
        months => format!("in {months} months"),
    }
}
