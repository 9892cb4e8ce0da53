//! Plots as SVG.

use std::fmt::Display;

use anyhow::anyhow;
use plotters::prelude::*;

const SIZE: (u32, u32) = (860, 320);
const COLORS: [RGBColor; 6] = [
    RGBColor(31, 92, 153),
    RGBColor(214, 111, 36),
    RGBColor(64, 138, 77),
    RGBColor(176, 46, 70),
    RGBColor(116, 88, 158),
    RGBColor(110, 110, 110),
];

/// A named line of points.
pub(super) struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Line {
    pub fn new(name: impl Into<String>, points: impl Iterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points: points.collect(),
        }
    }
}

/// Lines over a common axis.
pub(super) fn lines(x: &str, y: &str, lines: &[Line]) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let right = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let top = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(x)
            .y_desc(y)
            .x_labels(13)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| super::grouped(*y))
            .draw()?;
        for (line, color) in lines.iter().zip(COLORS.into_iter().cycle()) {
            let style = color.stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .draw()?;
        Ok(())
    })
}

/// A group of bars for each of `groups`: a bar for each of `series`.
pub(super) fn bars(
    y: &str,
    groups: &[impl Display],
    series: &[(String, Vec<f64>)],
) -> anyhow::Result<String> {
    let top = series
        .iter()
        .flat_map(|(_, values)| values)
        .copied()
        .fold(1.0, f64::max)
        * 1.1;
    let (group_count, bar_count) = (float(groups.len()), float(series.len()));
    let width = 0.8 / bar_count;
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..group_count, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .light_line_style(TRANSPARENT)
            .y_desc(y)
            .y_label_formatter(&|y| super::grouped(*y))
            .draw()?;
        for (number, ((name, values), color)) in
            series.iter().zip(COLORS.into_iter().cycle()).enumerate()
        {
            let bar = |(group, value): (usize, &f64)| {
                let left = float(group) + 0.1 + float(number) * width;
                Rectangle::new([(left, 0.0), (left + width * 0.9, *value)], color.filled())
            };
            chart
                .draw_series(values.iter().enumerate().map(bar))?
                .label(name)
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled())
                });
        }
        let label = ("sans-serif", 14).into_text_style(area);
        for (group, name) in groups.iter().enumerate() {
            let (x, y) = chart.backend_coord(&(float(group) + 0.5, 0.0));
            let half = i32::try_from(name.to_string().len() * 4).unwrap_or_default();
            area.draw_text(&name.to_string(), &label, (x - half, y + 8))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .draw()?;
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw(plot: impl FnOnce(&Area<'_>) -> Drawn) -> anyhow::Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = plot(&area).and_then(|()| area.present());
    drop(area);
    drawn.map_err(|error| anyhow!("a plot: {error}"))?;
    Ok(svg)
}

fn float(count: usize) -> f64 {
    count as f64
}
