use proptest::prelude::*;

use super::*;
use crate::exposition::family::Value;
use crate::exposition::text;

fn text(page: &str) -> Parsed {
    parse(page, Format::Text).expect("a page")
}

fn open_metrics(page: &str) -> Parsed {
    parse(&format!("{page}# EOF\n"), Format::OpenMetrics).expect("a page")
}

/// The page as our writer writes it.
fn again(page: &Parsed) -> String {
    let mut written = String::new();
    page.families.iter().for_each(|family| text::write_family(family, &mut written));
    written
}

fn fault(page: &str, format: Format) -> (usize, Fault) {
    let error = parse(page, format).expect_err(page);
    (error.line, error.fault)
}

#[test]
fn labels_may_hold_whatever_they_like() {
    let page = "a{b=\"c,d=\\\"e\\\"}\",f=\"\\\\\",g=\"h\\ni\",j=\"#k { } é\",l=\"\\d\"} 1\n";
    let page = text(page);
    let [family] = &page.families[..] else { panic!("a family") };
    let sample = &family.samples()[0];
    let labels: Vec<(&str, &str)> = family.labels_of(sample).collect();
    let expected =
        [("b", "c,d=\"e\"}"), ("f", "\\"), ("g", "h\ni"), ("j", "#k { } é"), ("l", "\\d")];
    assert_eq!(labels, expected);
    assert_eq!(family.kind(), Kind::Unknown);
}

#[test]
fn blanks_commas_times_and_numbers_are_read_as_prometheus_reads_them() {
    let page = text(
        " \t a \t 1e3 1700000000000 \n\
         b { c = \"d\" , } +Inf\n\
         #\n# any comment\n#HELP e What\\nit \\\\ is \\\"\n\n\
         # \tTYPE\te  gauge \n\
         e{} -inf\nf NaN -5\n",
    );
    let expected = "# TYPE a untyped\na 1000\n# TYPE b untyped\nb{c=\"d\"} +Inf\n\
                    # HELP e What\\nit \\\\ is \\\\\"\n# TYPE e gauge\ne -Inf\n\
                    # TYPE f untyped\nf NaN\n";
    assert_eq!(again(&page), expected);
    assert_eq!(page.timestamps, 2);
}

#[test]
fn the_parts_of_histograms_and_summaries_find_each_other() {
    let page = "# TYPE a histogram\n\
                a_bucket{b=\"c\",le=\"1\"} 2\n\
                a_bucket{b=\"c\",le=\"5e-1\"} 1.0\n\
                a_bucket{le=\"+Inf\",b=\"c\"} 3\n\
                a_sum{b=\"c\"} 2.5\n\
                a_count{b=\"c\"} 3\n\
                # TYPE d summary\n\
                d{quantile=\"0.5\"} NaN\n\
                d_sum 1\n\
                d_count 18446744073709551615\n\
                e_count 7\n";
    let expected = "# TYPE a histogram\n\
                    a_bucket{b=\"c\",le=\"0.5\"} 1\n\
                    a_bucket{b=\"c\",le=\"1\"} 2\n\
                    a_bucket{b=\"c\",le=\"+Inf\"} 3\n\
                    a_sum{b=\"c\"} 2.5\n\
                    a_count{b=\"c\"} 3\n\
                    # TYPE d summary\n\
                    d{quantile=\"0.5\"} NaN\n\
                    d_sum 1\n\
                    d_count 18446744073709551615\n\
                    # TYPE e_count untyped\n\
                    e_count 7\n";
    assert_eq!(again(&text(page)), expected);
}

#[test]
fn samples_with_different_labels_are_one_family() {
    let page = text("a{b=\"1\"} 1\na{c=\"2\",b=\"\"} 2\na 3\na{c=\"2\"} 4\n");
    let expected =
        "# TYPE a untyped\na{b=\"1\",c=\"\"} 1\na{b=\"\",c=\"2\"} 2\na{b=\"\",c=\"\"} 3\n";
    assert_eq!(again(&page), expected);
    assert_eq!(page.duplicates, 1, "an empty label is none");
}

#[test]
fn what_comes_twice_is_left_out_and_counted() {
    let page = text(
        "a 1\na 2\n# TYPE b histogram\nb_bucket{le=\"1\"} 1\nb_bucket{le=\"1.0\"} 2\nb_count 3\nb_count 3\n",
    );
    assert_eq!(page.duplicates, 3);
    assert!(again(&page).starts_with("# TYPE a untyped\na 1\n"), "the first counts");
}

#[test]
fn every_type_of_open_metrics_is_read() {
    let page = open_metrics(
        "# TYPE a counter\n# UNIT a seconds\n# HELP a An \\\"a\\\".\n\
         a_total{b=\"c\"} 17 1.5e9 # {id=\"x\",y=\"{#}\"} 0.67 1.4\n\
         a_created{b=\"c\"} 1520872607.123\n\
         # TYPE d info\nd_info{version=\"1\"} 1\n\
         # TYPE e stateset\ne{e=\"on\"} 1\ne{e=\"off\"} 0\n\
         # TYPE f gaugehistogram\nf_bucket{le=\"+Inf\"} 2\nf_gcount 2\nf_gsum 1\n\
         # TYPE g histogram\ng_bucket{le=\"1.0\"} 1 # {} 0.5\ng_bucket{le=\"+Inf\"} 2\n\
         # TYPE h summary\nh_count 1\nh_sum 2\n\
         # TYPE i unknown\ni 3\nj 4\n",
    );
    let expected = "# HELP a_total An \"a\".\n# TYPE a_total counter\na_total{b=\"c\"} 17\n\
                    # TYPE d_info gauge\nd_info{version=\"1\"} 1\n\
                    # TYPE e gauge\ne{e=\"on\"} 1\ne{e=\"off\"} 0\n\
                    # TYPE f_bucket untyped\nf_bucket{le=\"+Inf\"} 2\n\
                    # TYPE f_gcount untyped\nf_gcount 2\n# TYPE f_gsum untyped\nf_gsum 1\n\
                    # TYPE g histogram\ng_bucket{le=\"1\"} 1\ng_bucket{le=\"+Inf\"} 2\ng_sum NaN\n\
                    g_count 2\n\
                    # TYPE h summary\nh_sum 2\nh_count 1\n\
                    # TYPE i untyped\ni 3\n# TYPE j untyped\nj 4\n";
    assert_eq!(again(&page), expected);
    assert_eq!(page.timestamps, 1);
    assert_eq!(page.families[1].kind(), Kind::Info);
}

#[test]
fn a_counter_declared_by_the_name_of_its_samples_is_read() {
    let page = open_metrics("# TYPE a_total counter\na_total 1\n");
    assert_eq!(page.families[0].name(), "a_total");
    assert_eq!(page.families[0].samples()[0].value, Value::Number(1.0));
}

#[test]
fn a_page_that_is_none_says_where() {
    let quoted = |label: &str| Fault::NoLabelValue(label.to_owned());
    for (page, line, expected) in [
        ("<html>", 1, Fault::NoName),
        ("a 1\n\n1a 1", 3, Fault::NoName),
        ("{\"a.b\"} 1", 1, Fault::NoName),
        ("a", 1, Fault::NoNumber),
        ("a one", 1, Fault::NoNumber),
        ("a 1_000", 1, Fault::NoNumber),
        ("a 1\r\n", 1, Fault::NoNumber),
        ("a 1 soon", 1, Fault::NoTime),
        ("a 1 1.5", 1, Fault::NoTime),
        ("a 1 2 3", 1, Fault::Trailing),
        ("a 1 # {} 1", 1, Fault::Trailing),
        ("a{", 1, Fault::Unclosed),
        ("a{b", 1, quoted("b")),
        ("a{b=c}", 1, quoted("b")),
        ("a{b=\"c", 1, Fault::Unclosed),
        ("a{b=\"c\\\"} 1", 1, Fault::Unclosed),
        ("a{b=\"c\" d=\"e\"} 1", 1, Fault::Unclosed),
        ("a{,} 1", 1, Fault::NoLabelName),
        ("a{b:c=\"d\"} 1", 1, quoted("b")),
        ("a{b=\"c\",b=\"d\"} 1", 1, Fault::LabelTwice("b".to_owned())),
        ("# TYPE a info\n", 1, Fault::NoType("info".to_owned())),
        ("# TYPE a\n", 1, Fault::NoType(String::new())),
        ("# HELP 1 a\n", 1, Fault::NoName),
        ("a 1\n# TYPE a gauge\n", 2, Fault::LateType),
        ("# TYPE a gauge\n# TYPE a counter\n", 2, Fault::LateType),
        ("# TYPE a histogram\na 1\n", 2, Fault::NoSuchSample("histogram")),
        ("# TYPE a histogram\na_bucket 1\n", 2, Fault::NoBound("le")),
        ("# TYPE a histogram\na_bucket{le=\"NaN\"} 1\n", 2, Fault::NoBound("le")),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 1.5\n", 2, Fault::NoWholeNumber),
        ("# TYPE a histogram\na_count -1\n", 2, Fault::NoWholeNumber),
        ("# TYPE a histogram\na_sum 1\n", 1, Fault::NoCount),
        ("# TYPE a summary\na{quantile=\"1\"} 1\n", 1, Fault::NoCount),
        ("# TYPE a summary\na 1\n", 2, Fault::NoBound("quantile")),
    ] {
        assert_eq!(fault(page, Format::Text), (line, expected), "{page:?}");
    }
    for (page, line, expected) in [
        ("a 1\n", 2, Fault::NoEnd),
        ("a 1\n# EOF\na 1\n", 3, Fault::AfterEnd),
        ("a 1 NaN\n", 1, Fault::NoTime),
        ("a 1 # b\n", 1, Fault::NoNumber),
        ("a 1 # {} 1 2 3\n", 1, Fault::Trailing),
        ("# TYPE a untyped\n", 1, Fault::NoType("untyped".to_owned())),
        ("# TYPE a counter\na 1\n", 2, Fault::NoSuchSample("counter")),
        (
            "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total 2\n# EOF\n",
            3,
            Fault::SameName,
        ),
    ] {
        assert_eq!(fault(page, Format::OpenMetrics), (line, expected), "{page:?}");
    }
}

#[test]
fn labels_without_end_cost_no_memory() {
    let many: String = (0..200).map(|number| format!("a{{b{number}=\"c\"}} 1\n")).collect();
    assert_eq!(fault(&many, Format::Text), (MOST_LABELS + 1, Fault::TooManyLabels));
    let labels: Vec<String> = (0..200).map(|number| format!("b{number}=\"c\"")).collect();
    let line = format!("a{{{}}} 1\n", labels.join(","));
    assert_eq!(fault(&line, Format::Text), (1, Fault::TooManyLabels));
}

#[test]
fn a_page_without_samples_has_no_families() {
    for page in ["", "\n", "# HELP a b\n# TYPE a gauge\n"] {
        assert_eq!(text(page), Parsed::default());
    }
    assert_eq!(open_metrics(""), Parsed::default());
}

/// Pieces of pages, from which wrong ones are made.
const PIECES: [&str; 28] = [
    "a",
    "a_total",
    "a_bucket",
    "a_count",
    "a_sum",
    "b",
    "{",
    "}",
    "=",
    "\"",
    "\\",
    "\\\"",
    ",",
    " ",
    "\n",
    "#",
    "# TYPE a histogram\n",
    "# TYPE a counter\n",
    "# TYPE b summary\n",
    "# HELP a ",
    "# EOF\n",
    "le=\"1\"",
    "quantile=\"0.5\"",
    "1",
    "NaN",
    "é",
    "\0",
    "\r",
];

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(13),
        cases: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_makes_it_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60), any in ".*") {
        let page: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        for page in [page, any] {
            for format in [Format::Text, Format::OpenMetrics] {
                if let Ok(parsed) = parse(&page, format) {
                    let written = again(&parsed);
                    let reread = parse(&written, Format::Text).expect("what was written");
                    prop_assert_eq!(again(&reread), written);
                }
            }
        }
    }
}
