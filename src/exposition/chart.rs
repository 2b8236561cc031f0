//! Small pictures of what a source knows, for people.

/// A number of bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// What a bar stands for, such as a day.
    pub of: &'static str,
    /// What a value is.
    pub unit: Unit,
    /// How the bars stand.
    pub shape: Shape,
    /// The bars, in their order.
    pub bars: Vec<Bar>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is of.
    pub label: String,
    /// The value.
    pub value: f64,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// US dollars.
    Usd,
}

/// How bars stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Side by side, for one after the other in time or size.
    Columns,
    /// One below the other, for the largest of many.
    Ranking,
}
