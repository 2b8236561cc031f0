//! The form in which every metric family is described, once.
//!
//! A source writes its families with the `catalogue!` macro; nothing else in the program spells a
//! metric's name. The README's tables, the tests and later the dashboards are checked against these
//! descriptions. What is known only at run time is described with [`Description::new`].

use std::borrow::Cow;

/// The type of a metric family, as Prometheus knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// How many values lie below each of several bounds.
    Histogram,
    /// Which values a share of all values does not exceed.
    Summary,
    /// Always 1; the labels are what it tells.
    Info,
    /// Nobody said.
    Unknown,
}

impl Kind {
    /// The word after `# TYPE name` in the text format, which has no word for [`Kind::Info`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Info => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Unknown => "untyped",
        }
    }

    /// Whether it only grows, so that it matters since when it counts.
    pub const fn counts(self) -> bool {
        matches!(self, Kind::Counter | Kind::Histogram | Kind::Summary)
    }

    /// The label that tells the samples of one set of labels apart, which no family of this kind may have.
    pub const fn own_label(self) -> Option<&'static str> {
        match self {
            Kind::Histogram => Some("le"),
            Kind::Summary => Some("quantile"),
            Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => None,
        }
    }
}

/// What a person and Prometheus must know about a metric family before seeing a sample of it.
///
/// The names are checked where a description is made: by [`Description::new`] when it runs, by the
/// `catalogue!` macro when it is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The name, e.g. `librechat_messages_total`.
    pub name: Cow<'static, str>,
    /// What kind of family it is.
    pub kind: Kind,
    /// The names of the labels, in the order in which samples give their values.
    pub labels: Cow<'static, [Cow<'static, str>]>,
    /// The groups that must all be switched on for the family to be exported; none: always.
    pub groups: &'static [&'static str],
    /// What the value means, in one line.
    pub help: Cow<'static, str>,
}

impl Description {
    /// A description that belongs to no groups.
    ///
    /// # Errors
    ///
    /// If Prometheus does not allow one of the names, or a label comes twice.
    pub fn new(
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        labels: impl Into<Cow<'static, [Cow<'static, str>]>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Result<Description, Invalid> {
        let (name, labels, help) = (name.into(), labels.into(), help.into());
        match fault(kind, &name, &labels) {
            None => Ok(Description { name, kind, labels, groups: &[], help }),
            Some(fault) => Err(Invalid { name: name.into_owned(), fault }),
        }
    }
}

/// A family that cannot be, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metric {name:?} {fault}")]
pub struct Invalid {
    /// Its name.
    pub name: String,
    /// Why.
    pub fault: Fault,
}

/// Why there can be no such family. A label is told by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The name is not allowed.
    #[error("has a name that is no letters, digits, _ and :, beginning with no digit")]
    Name,
    /// The name of a label is not allowed.
    #[error("has a label, number {}, whose name is no letters, digits and _, beginning with no digit", .0 + 1)]
    Label(usize),
    /// Prometheus has the label for itself.
    #[error("has a label, number {}, that its samples need for something else", .0 + 1)]
    Reserved(usize),
    /// An earlier label has the same name.
    #[error("has the label number {} twice", .0 + 1)]
    Twice(usize),
}

/// Why there can be no family with these names; `None` if there can.
pub const fn fault(kind: Kind, name: &str, labels: &[Cow<'static, str>]) -> Option<Fault> {
    if !is_name(name, true) {
        return Some(Fault::Name);
    }
    let mut place = 0;
    while place < labels.len() {
        let label = label_at(labels, place);
        if !is_name(label, false) {
            return Some(Fault::Label(place));
        }
        let own = match kind.own_label() {
            Some(own) => equal(label, own),
            None => false,
        };
        if own || equal(label, "__name__") {
            return Some(Fault::Reserved(place));
        }
        let mut earlier = 0;
        while earlier < place {
            if equal(label, label_at(labels, earlier)) {
                return Some(Fault::Twice(place));
            }
            earlier += 1;
        }
        place += 1;
    }
    None
}

const fn label_at<'a>(labels: &'a [Cow<'static, str>], place: usize) -> &'a str {
    match &labels[place] {
        Cow::Borrowed(name) => name,
        Cow::Owned(name) => name.as_str(),
    }
}

const fn is_name(name: &str, with_colons: bool) -> bool {
    let bytes = name.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        let allowed = match bytes[place] {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'0'..=b'9' => place > 0,
            b':' => with_colons,
            _ => false,
        };
        if !allowed {
            return false;
        }
        place += 1;
    }
    !bytes.is_empty()
}

const fn equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut place = 0;
    while place < one.len() {
        if one[place] != other[place] {
            return false;
        }
        place += 1;
    }
    true
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
                name: ::std::borrow::Cow::Borrowed($name),
                kind: $crate::exposition::Kind::$kind,
                labels: ::std::borrow::Cow::Borrowed(
                    const { &[$(::std::borrow::Cow::Borrowed($label)),*] }
                ),
                groups: &[$($group),*],
                help: ::std::borrow::Cow::Borrowed($help),
            };

            const _: () = {
                let labels: &[::std::borrow::Cow<'static, str>] =
                    const { &[$(::std::borrow::Cow::Borrowed($label)),*] };
                let kind = $crate::exposition::Kind::$kind;
                let fault = $crate::exposition::description::fault(kind, $name, labels);
                assert!(fault.is_none(), concat!($name, " or a label of it has no valid name"));
            };
        )*

        /// Every family declared here.
        #[allow(dead_code, reason = "not every list of families is gone through")]
        pub const ALL: &[$crate::exposition::Description] = &[$($constant),*];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind, name: &'static str, labels: &[&'static str]) -> Option<Fault> {
        let labels: Vec<Cow<'static, str>> = labels.iter().copied().map(Cow::Borrowed).collect();
        Description::new(kind, name, labels, "").err().map(|invalid| invalid.fault)
    }

    #[test]
    fn names_that_prometheus_does_not_allow_are_refused() {
        for name in ["", "1a", "a-b", "a.b", "a b", "é", "a\n"] {
            assert_eq!(fault(Kind::Gauge, name, &[]), Some(Fault::Name), "{name:?}");
            assert_eq!(fault(Kind::Gauge, "a", &["b", name]), Some(Fault::Label(1)), "{name:?}");
        }
        assert_eq!(fault(Kind::Gauge, ":a_1:", &["_", "A9"]), None);
        assert_eq!(fault(Kind::Gauge, "a", &["a:b"]), Some(Fault::Label(0)));
        assert_eq!(fault(Kind::Gauge, "a", &["b", "c", "b"]), Some(Fault::Twice(2)));
    }

    #[test]
    fn labels_that_the_samples_have_themselves_are_refused() {
        for (kind, label) in
            [(Kind::Histogram, "le"), (Kind::Summary, "quantile"), (Kind::Counter, "__name__")]
        {
            assert_eq!(fault(kind, "a", &[label]), Some(Fault::Reserved(0)), "{kind:?}");
        }
        assert_eq!(fault(Kind::Gauge, "a", &["le", "quantile"]), None);
    }
}
