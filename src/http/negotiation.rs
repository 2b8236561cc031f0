//! What a client wants to get where there is a choice.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING};
use headers_accept::Accept;
use mediatype::names::Q;
use mediatype::{MediaTypeBuf, Name, ReadParams};

use crate::exposition::Format;

/// The parameter of a media type that tells its version.
const VERSION: Name = Name::new_unchecked("version");

/// What `/` can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The metrics, for programs.
    Metrics(Format),
    /// The page for people.
    Page,
}

/// The format of the metrics that a client likes best; without a word about it, Prometheus's own.
pub fn format(headers: &HeaderMap) -> Format {
    best(headers, format_of).unwrap_or(Format::Text)
}

/// What a client likes best to see on `/`; without a word about it, the metrics in Prometheus's format.
pub fn view(headers: &HeaderMap) -> View {
    let view_of = |essence: &str, version: Option<&str>| match essence {
        "text/html" => Some(View::Page),
        other => format_of(other, version).map(View::Metrics),
    };
    best(headers, view_of).unwrap_or(View::Metrics(Format::Text))
}

/// The format of a media type. Of OpenMetrics only the version that is written counts: who knows but the draft
/// before it gets Prometheus's own format.
fn format_of(essence: &str, version: Option<&str>) -> Option<Format> {
    match essence {
        "application/openmetrics-text" => {
            version.is_none_or(|version| version == "1.0.0").then_some(Format::OpenMetrics)
        }
        "text/plain" | "text/*" | "*/*" => Some(Format::Text),
        _ => None,
    }
}

/// What is offered for the media type that a client likes best, of those for which there is something.
fn best<T>(headers: &HeaderMap, offered: impl Fn(&str, Option<&str>) -> Option<T>) -> Option<T> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept: Accept = values.collect::<Vec<_>>().join(",").parse().ok()?;
    let mut best = (0.0, None);
    for wanted in accept.media_types() {
        let essence = wanted.essence().to_string().to_ascii_lowercase();
        let version = wanted.get_param(VERSION).map(|version| version.unquoted_str().into_owned());
        // Of those that are liked equally, the first named is taken.
        if weight(wanted) > best.0
            && let Some(offer) = offered(&essence, version.as_deref())
        {
            best = (weight(wanted), Some(offer));
        }
    }
    best.1
}

/// How much a client likes something, 0 to 1.
fn weight(wanted: &MediaTypeBuf) -> f32 {
    let weight = wanted.get_param(Q);
    weight.map_or(1.0, |weight| weight.as_str().parse().unwrap_or(0.0))
}

/// How the body of an answer is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// With gzip.
    Gzip,
}

/// The coding that a client takes: gzip where it names it, and where it takes nothing else; `None` if it
/// takes neither.
pub fn coding(headers: &HeaderMap) -> Option<Coding> {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<(String, f32)> =
        values.flat_map(|value| value.split(',')).filter_map(coding_and_weight).collect();
    let weight = |name: &str| codings.iter().find(|(coding, _)| coding == name).map(|(_, w)| *w);
    let (gzip, any) = (weight("gzip"), weight("*"));
    if gzip.is_some_and(|weight| weight > 0.0) {
        return Some(Coding::Gzip);
    }
    if weight("identity").or(any).is_none_or(|weight| weight > 0.0) {
        return Some(Coding::Identity);
    }
    gzip.or(any).is_none_or(|weight| weight > 0.0).then_some(Coding::Gzip)
}

/// A coding in lower case, and how much it is liked; a weight that is no number counts as none at all.
fn coding_and_weight(item: &str) -> Option<(String, f32)> {
    let mut parts = item.split(';').map(|part| part.trim().to_ascii_lowercase());
    let coding = parts.next().filter(|coding| !coding.is_empty())?;
    let weight = parts.find_map(|part| {
        let (name, weight) = part.split_once('=')?;
        (name.trim() == "q").then(|| weight.trim().parse().unwrap_or(0.0))
    });
    Some((coding, weight.unwrap_or(1.0)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TEXT: View = View::Metrics(Format::Text);
    const OPEN_METRICS: View = View::Metrics(Format::OpenMetrics);

    fn wanted(accept: &'static str) -> View {
        let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
        view(&headers)
    }

    #[test]
    fn prometheus_gets_what_it_prefers() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let only_text = "text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.1,*/*;q=0.2";
        assert_eq!(wanted(prometheus_2), OPEN_METRICS);
        assert_eq!(wanted(prometheus_3), OPEN_METRICS);
        assert_eq!(wanted(only_text), TEXT);
        let only_the_draft = "application/openmetrics-text;version=0.0.1,text/plain;q=0.5";
        assert_eq!(wanted(only_the_draft), TEXT);
        assert_eq!(wanted("application/openmetrics-text"), OPEN_METRICS);
        assert_eq!(wanted("application/openmetrics-text;version=\"1.0.0\""), OPEN_METRICS);
    }

    #[test]
    fn a_browser_gets_a_page_where_there_is_one() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(wanted(browser), View::Page);
        let headers = [(ACCEPT, HeaderValue::from_static(browser))].into_iter().collect();
        assert_eq!(format(&headers), Format::Text);
    }

    #[test]
    fn whoever_says_nothing_or_nonsense_gets_text() {
        assert_eq!(view(&HeaderMap::new()), TEXT);
        for accept in ["*/*", "text/*", "image/png", ";;;", "", "text/html;q=0", "a/b;q=x"] {
            assert_eq!(wanted(accept), TEXT, "{accept}");
        }
    }

    #[test]
    fn gzip_is_sent_to_whoever_names_it_and_to_whoever_takes_nothing_else() {
        let coding_for = |accepted: &'static str| {
            let header = (ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            coding(&[header].into_iter().collect())
        };
        let (gzip, identity) = (Some(Coding::Gzip), Some(Coding::Identity));
        assert_eq!(coding(&HeaderMap::new()), identity);
        for (accepted, expected) in [
            ("gzip", gzip),
            ("GZip", gzip),
            ("deflate, gzip;q=0.5", gzip),
            ("gzip ; q = 1.0", gzip),
            ("", identity),
            ("*", identity),
            ("br, zstd", identity),
            ("gzip;q=0", identity),
            ("gzip;Q=0", identity),
            ("gzip;q=0.000", identity),
            ("gzip;q=x", identity),
            ("identity", identity),
            ("*;q=0, identity", identity),
            ("identity;q=0", gzip),
            ("identity;Q=0, *", gzip),
            ("identity;q=0, gzip;q=0", None),
            ("*;q=0", None),
            ("*;q=0, gzip", gzip),
        ] {
            assert_eq!(coding_for(accepted), expected, "{accepted}");
        }
    }
}
