//! The page that people read: what to look at each day, week, month and quarter.

mod plots;
mod views;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::capacity::{Capacity, Measured};
use crate::plan::Plan;
use crate::values::Values;

const STYLE: &str = include_str!("report/style.css");

/// All that the views show.
struct Subject<'a> {
    capacity: &'a Capacity,
    measured: &'a Measured,
    plan: &'a Plan,
    values: &'a Values,
    contradictions: &'a [String],
}

/// One HTML page that needs nothing else.
pub fn render(
    capacity: &Capacity,
    plan: &Plan,
    values: &Values,
    contradictions: &[String],
) -> anyhow::Result<String> {
    let measured = capacity.measured()?;
    let subject = Subject {
        capacity,
        measured,
        plan,
        values,
        contradictions,
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "CloudRetail capacity" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "CloudRetail capacity" }
                nav {
                    a href="#daily" { "Daily" }
                    a href="#weekly" { "Weekly" }
                    a href="#monthly" { "Monthly" }
                    a href="#quarterly" { "Quarterly" }
                    a href="#measured" { "What was measured" }
                }
                (verdict(&subject))
                (views::daily(&subject)?)
                (views::weekly(&subject)?)
                (views::monthly(&subject)?)
                (views::quarterly(&subject)?)
                (views::measured(&subject))
            }
        }
    };
    Ok(page.into_string())
}

fn verdict(subject: &Subject<'_>) -> Markup {
    html! {
        @if subject.contradictions.is_empty() {
            p.good { "The values agree with the measurement." }
        } @else {
            div.bad {
                p { "The values contradict the measurement; the plan's values mend it:" }
                ul { @for line in subject.contradictions { li { code { (line) } } } }
            }
        }
    }
}

/// 12345.6 as 12,346; small numbers keep two figures.
fn grouped(value: f64) -> String {
    if value != 0.0 && value.abs() < 10.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("−{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_written_in_groups_of_three() {
        let written = [0.0, 0.25, 999.4, 1234.5, 1_000_000.0, -1500.0].map(grouped);

        assert_eq!(
            written,
            ["0", "0.25", "999", "1,234", "1,000,000", "−1,500"]
        );
    }
}
