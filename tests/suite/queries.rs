//! PromQL: whether a query names what exists.

use std::collections::BTreeSet;

use promql_parser::parser::{
    self, AggregateExpr, Expr, LabelModifier, MatrixSelector, VectorSelector,
};
use promql_parser::util::{ExprVisitor, walk_expr};
use usage_exporter::exposition::{Kind, own as exporter};
use usage_exporter::sources::librechat;

/// What Prometheus adds to every scrape.
const OF_PROMETHEUS: [&str; 2] = ["up", "scrape_duration_seconds"];

const LABELS_OF_PROMETHEUS: [&str; 3] = ["job", "instance", "le"];

/// What a query names.
#[derive(Default)]
struct Named {
    /// Metrics, each with the labels that it is asked for.
    metrics: Vec<(String, Vec<String>)>,
    /// The labels by which sums are made.
    grouped_by: BTreeSet<String>,
}

impl ExprVisitor for Named {
    type Error = ();

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, ()> {
        match expression {
            Expr::VectorSelector(selector) => self.note(selector),
            Expr::MatrixSelector(MatrixSelector { vs, .. }) => self.note(vs),
            Expr::Aggregate(AggregateExpr {
                modifier: Some(LabelModifier::Include(labels)),
                ..
            }) => self.grouped_by.extend(labels.labels.iter().cloned()),
            _ => {}
        }
        Ok(true)
    }
}

impl Named {
    fn note(&mut self, selector: &VectorSelector) {
        let matchers = selector.matchers.matchers.iter();
        let labels = matchers.map(|matcher| matcher.name.clone()).collect();
        self.metrics.push((selector.name.clone().expect("a query names its metrics"), labels));
    }
}

/// The labels of a metric; `None` if there is none of this name.
fn labels_of(metric: &str, recorded: &BTreeSet<String>) -> Option<Vec<&'static str>> {
    let families = || librechat::families().chain(exporter::ALL);
    let parts = ["_bucket", "_count", "_sum"];
    let histogram = parts.iter().find_map(|part| metric.strip_suffix(part));
    let found = families().find(|family| {
        let is_part = family.kind == Kind::Histogram && Some(&*family.name) == histogram;
        family.name == metric || is_part
    });
    match found {
        Some(family) => Some(family.labels.iter().map(|label| &**label).collect()),
        None if OF_PROMETHEUS.contains(&metric) || metric.starts_with("process_") => Some(vec![]),
        None if recorded.contains(metric) => {
            Some(families().flat_map(|family| family.labels.iter().map(|label| &**label)).collect())
        }
        None => None,
    }
}

/// Fails if a query names a metric or a label that does not exist; `recorded` are metrics made by rules.
pub fn assert_names_what_exists(query: &str, recorded: &BTreeSet<String>) {
    let expression = parser::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut named = Named::default();
    walk_expr(&mut named, &expression).expect("a walk");
    assert!(!named.metrics.is_empty(), "{query} names nothing");
    let mut labels: BTreeSet<&str> = LABELS_OF_PROMETHEUS.into();
    for (metric, asked) in &named.metrics {
        let of_metric = labels_of(metric, recorded);
        let of_metric = of_metric.unwrap_or_else(|| panic!("{query}: there is no {metric}"));
        for label in asked {
            let known = of_metric.contains(&label.as_str());
            assert!(known || LABELS_OF_PROMETHEUS.contains(&label.as_str()), "{query}: {label}");
        }
        labels.extend(of_metric);
    }
    for label in &named.grouped_by {
        assert!(labels.contains(label.as_str()), "{query}: no metric has the label {label}");
    }
}

#[test]
#[should_panic(expected = "there is no librechat_mesages_total")]
fn a_metric_that_does_not_exist_is_found() {
    assert_names_what_exists("sum(rate(librechat_mesages_total[5m]))", &BTreeSet::new());
}

#[test]
#[should_panic(expected = "no metric has the label modell")]
fn a_label_that_does_not_exist_is_found() {
    let query = "sum by (modell) (librechat_messages_per_model_total)";
    assert_names_what_exists(query, &BTreeSet::new());
}
