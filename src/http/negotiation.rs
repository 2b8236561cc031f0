//! What a client wants to get where there is a choice.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING};
use headers_accept::Accept;
use mediatype::names::Q;
use mediatype::{MediaTypeBuf, ReadParams};

use crate::exposition::Format;

/// What the metrics can be shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// For programs.
    Metrics(Format),
    /// For people.
    Page,
}

/// The view that a client likes best; without a word about it, Prometheus's text format. `page` tells
/// whether there is one for people.
pub fn view(headers: &HeaderMap, page: bool) -> View {
    let text = View::Metrics(Format::Text);
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let list = values.collect::<Vec<_>>().join(",");
    let Ok(accept) = list.parse::<Accept>() else { return text };
    let mut best = (0.0, text);
    for wanted in accept.media_types() {
        let weight = weight(wanted);
        // Of those that are liked equally, the first named is taken.
        if let Some(view) = offered(wanted, page).filter(|_| weight > best.0) {
            best = (weight, view);
        }
    }
    best.1
}

fn offered(wanted: &MediaTypeBuf, page: bool) -> Option<View> {
    match wanted.essence().to_string().to_ascii_lowercase().as_str() {
        "application/openmetrics-text" => Some(View::Metrics(Format::OpenMetrics)),
        "text/html" => page.then_some(View::Page),
        "text/plain" | "text/*" | "*/*" => Some(View::Metrics(Format::Text)),
        _ => None,
    }
}

/// How much a client likes something, 0 to 1.
fn weight(wanted: &MediaTypeBuf) -> f32 {
    let weight = wanted.get_param(Q);
    weight.map_or(1.0, |weight| weight.as_str().parse().unwrap_or(0.0))
}

/// Whether a client takes gzip.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        coding && weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TEXT: View = View::Metrics(Format::Text);
    const OPEN_METRICS: View = View::Metrics(Format::OpenMetrics);

    fn wanted(accept: &'static str) -> View {
        let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
        view(&headers, true)
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
    }

    #[test]
    fn a_browser_gets_a_page_where_there_is_one() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(wanted(browser), View::Page);
        let headers = [(ACCEPT, HeaderValue::from_static(browser))].into_iter().collect();
        assert_eq!(view(&headers, false), TEXT);
    }

    #[test]
    fn whoever_says_nothing_or_nonsense_gets_text() {
        assert_eq!(view(&HeaderMap::new(), true), TEXT);
        for accept in ["*/*", "text/*", "image/png", ";;;", "", "text/html;q=0", "a/b;q=x"] {
            assert_eq!(wanted(accept), TEXT, "{accept}");
        }
    }
}
