//! Names in the environment and in `.env` that were probably meant to be settings.

use std::collections::HashSet;

use crate::settings::Setting;
use crate::settings::given;

/// What a name was probably meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misspelt {
    /// The name.
    pub name: String,
    /// The nearest name of a setting.
    pub nearest: String,
    /// The setting itself, where it is a secret and the name is so near that it can hardly be another's.
    /// Without it the metrics would be open to all, or another MongoDB read.
    pub secret: Option<&'static Setting>,
}

/// How near a name must be to that of a setting, 0 to 1.
const NEAR: f64 = 0.8;

/// How many settings begin with the same word where that word is taken for ours alone.
const OURS: usize = 3;

/// What `name` was probably meant to be, if it is not the name of one of `settings`.
pub fn look(name: &str, settings: &[&'static Setting]) -> Option<Misspelt> {
    let known = given::names(settings);
    if known.contains(name) {
        return None;
    }
    let upper = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&upper, known);
    let nearest = known.iter().max_by(|a, b| {
        // Of those that are equally near the first in the alphabet is named.
        likeness(a).total_cmp(&likeness(b)).then_with(|| b.cmp(a))
    })?;
    let begins = known.iter().any(|known| begins_like(&upper, known));
    let is_near = begins && likeness(nearest) >= NEAR;
    let secret = settings.iter().copied().find(|setting| {
        let names = given::names(&[setting]);
        setting.secret && (is_near && names.contains(nearest) || means(&upper, setting.variable))
    });
    if let Some(setting) = secret {
        let nearest = if is_near { nearest.as_str() } else { setting.variable };
        let nearest = nearest.to_owned();
        return Some(Misspelt { name: name.to_owned(), nearest, secret });
    }
    let is_ours = is_near || words_of_ours(settings).contains(first_word(&upper));
    is_ours.then(|| Misspelt { name: name.to_owned(), nearest: nearest.clone(), secret: None })
}

/// Whether a name begins with nearly the same word as another: SSL_CERT_FILE is none of ours.
fn begins_like(name: &str, other: &str) -> bool {
    let (word, of_other) = (first_word(name), first_word(other));
    name.starts_with(of_other) || strsim::normalized_damerau_levenshtein(word, of_other) >= NEAR
}

fn first_word(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

/// Whether a name begins and ends with the words of another, as METRICS_TOKEN does with those of
/// METRICS_BEARER_TOKEN.
fn means(name: &str, variable: &str) -> bool {
    let last_word = |name: &str| name.rsplit('_').next().map(str::to_owned);
    first_word(name) == first_word(variable) && last_word(name) == last_word(variable)
}

/// The first words of which so many settings begin with each that they are taken for ours.
fn words_of_ours(settings: &[&'static Setting]) -> HashSet<&'static str> {
    let words = settings.iter().map(|setting| first_word(setting.variable));
    let count =
        |word: &str| settings.iter().filter(|setting| first_word(setting.variable) == word).count();
    words.filter(|word| count(word) >= OURS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: [&Setting; 8] = [
        &Setting::new("TLS_CERT_FILE", "", ""),
        &Setting::new("METRICS_PORT", "", ""),
        &Setting::new("METRICS_HOST", "", ""),
        &Setting::secret("METRICS_BEARER_TOKEN", "", ""),
        &Setting::secret("METRICS_BASIC_AUTH_PASSWORD", "", ""),
        &Setting { alias: Some("MONGO_URI"), ..Setting::secret("MONGODB_URI", "", "") },
        &Setting::new("MONGODB_DATABASE", "", ""),
        &Setting::new("STATE_FILE", "", ""),
    ];

    #[test]
    fn a_misspelt_setting_is_known_by_its_nearest_name() {
        for (name, nearest, secret) in [
            ("METRICS_PROT", "METRICS_PORT", false),
            ("metrics_port", "METRICS_PORT", false),
            ("METRIC_PORT", "METRICS_PORT", false),
            ("STATEFILE", "STATE_FILE", false),
            ("METRICS_SOMETHING_ELSE", "METRICS_HOST", false),
            ("METRICS_BEARER_TOKN", "METRICS_BEARER_TOKEN", true),
            ("METRICS_BEARER_TOKEN_FIEL", "METRICS_BEARER_TOKEN_FILE", true),
            ("metrics_bearer_token", "METRICS_BEARER_TOKEN", true),
            ("METRICS-BEARER-TOKEN", "METRICS_BEARER_TOKEN", true),
            ("METRICS_TOKEN", "METRICS_BEARER_TOKEN", true),
            ("METRICS_BASIC_AUTH_PASSWD", "METRICS_BASIC_AUTH_PASSWORD", true),
            ("METRICS_PASSWORD", "METRICS_BASIC_AUTH_PASSWORD", true),
            ("MONGODB_URL", "MONGODB_URI", true),
            ("MONGO_URI_FILE", "MONGODB_URI_FILE", true),
        ] {
            let found = look(name, &SETTINGS).unwrap_or_else(|| panic!("{name} is like ours"));
            assert_eq!(found.secret.is_some(), secret, "{name}");
            if name != "METRICS_SOMETHING_ELSE" {
                assert_eq!(found.nearest, nearest, "{name}");
            }
        }
    }

    #[test]
    fn names_of_others_are_left_alone() {
        for name in [
            "METRICS_PORT",
            "MONGO_URI",
            "MONGODB_URI_FILE",
            "MONGO_MAX_POOL_SIZE",
            "MEILI_HOST",
            "JWT_SECRET",
            "EMAIL_PASSWORD",
            "OPENAI_API_KEY",
            "PATH",
            "BINGAI_TOKEN",
            "SSL_CERT_FILE",
        ] {
            assert_eq!(look(name, &SETTINGS), None, "{name}");
        }
    }
}
