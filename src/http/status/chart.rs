//! Charts as the page draws them: plain rectangles, sized here and coloured by the style.

use crate::exposition::chart::{Bar, Chart, Shape, Unit};
use crate::http::status::readable::{number, shortened};

/// The distance from one column to the next.
const COLUMN: usize = 10;

/// How many characters of a label are shown.
const MOST_CHARACTERS: usize = 40;

/// A chart with sizes.
pub struct Drawing {
    pub title: String,
    pub unit: &'static str,
    pub of: &'static str,
    pub is_ranking: bool,
    pub bars: Vec<Rectangle>,
    pub width: usize,
    pub first: String,
    pub last: String,
    pub highest: String,
}

/// A bar with its size, of 100.
pub struct Rectangle {
    pub label: String,
    pub value: String,
    pub place: usize,
    pub size: String,
    pub rest: String,
}

impl Drawing {
    /// Draws a chart.
    pub fn of(chart: &Chart) -> Drawing {
        let highest = chart.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        let label = |bar: Option<&Bar>| bar.map(|bar| bar.label.clone()).unwrap_or_default();
        let first = label(chart.bars.first());
        Drawing {
            title: chart.title.clone(),
            of: chart.of,
            unit: match chart.unit {
                Unit::Count => "Number",
                Unit::Usd => "USD",
            },
            is_ranking: chart.shape == Shape::Ranking,
            bars: chart
                .bars
                .iter()
                .enumerate()
                .map(|(place, bar)| rectangle(place, bar, highest))
                .collect(),
            width: chart.bars.len() * COLUMN,
            first,
            last: label(chart.bars.last()),
            highest: number(highest),
        }
    }
}

fn rectangle(place: usize, bar: &Bar, highest: f64) -> Rectangle {
    let size = if highest > 0.0 { bar.value / highest * 100.0 } else { 0.0 };
    Rectangle {
        label: shortened(&bar.label, MOST_CHARACTERS),
        value: number(bar.value),
        place: place * COLUMN + 1,
        size: format!("{size:.1}"),
        rest: format!("{:.1}", 100.0 - size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_chart() {
        let bars = [("a", 5.0), ("b", 10.0), ("c", 0.0)];
        let bars = bars.map(|(label, value)| Bar { label: label.to_owned(), value });
        let chart = Chart {
            title: "Tested".to_owned(),
            of: "Letter",
            unit: Unit::Count,
            shape: Shape::Columns,
            bars: bars.into(),
        };
        let drawing = Drawing::of(&chart);
        let sizes: Vec<&str> = drawing.bars.iter().map(|bar| bar.size.as_str()).collect();
        assert_eq!(sizes, ["50.0", "100.0", "0.0"]);
        assert_eq!((drawing.width, drawing.last.as_str()), (30, "c"));
    }
}
