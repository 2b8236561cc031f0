//! The form in which every metric family is described, once.
//!
//! A source writes its families with the `catalogue!` macro; nothing else in the program spells a
//! metric's name. The README's tables, the tests and later the dashboards are checked against these
//! descriptions.

/// The type of a metric family, as Prometheus knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// How many values lie below each of several bounds.
    Histogram,
}

impl Kind {
    /// The word after `# TYPE name`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What a person and Prometheus must know about a metric family before seeing a sample of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The name, e.g. `librechat_messages_total`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// The names of the labels, in the order in which samples give their values.
    pub labels: &'static [&'static str],
    /// The groups that must all be switched on for the family to be exported; none: always.
    pub groups: &'static [&'static str],
    /// What the value means, in one line.
    pub help: &'static str,
}

/// Declares a constant for every family, and `ALL` with all of them in the order of the lines.
///
/// ```text
/// catalogue! {
///     MESSAGES: Counter "librechat_messages_total" [] (BASIC) "Messages ever seen.";
/// }
/// ```
#[macro_export]
macro_rules! catalogue {
    ($(
        $constant:ident: $kind:ident $name:literal [$($label:literal),*] ($($group:expr),*) $help:literal;
    )*) => {
        $(
            #[doc = $help]
            pub const $constant: $crate::exposition::Description = $crate::exposition::Description {
                name: $name,
                kind: $crate::exposition::Kind::$kind,
                labels: &[$($label),*],
                groups: &[$($group),*],
                help: $help,
            };
        )*

        /// Every family declared here.
        #[allow(dead_code, reason = "not every list of families is gone through")]
        pub const ALL: &[$crate::exposition::Description] = &[$($constant),*];
    };
}
