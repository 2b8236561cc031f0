//! Numbers and names as people read them.

/// A number with commas between its thousands, and with decimals where it is small and has some.
pub fn number(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    let decimals = match number.abs() {
        size if size.fract() == 0.0 || size >= 1_000.0 => 0,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    let plain = format!("{number:.decimals$}");
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), None), |(w, r)| (w, Some(r)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(rest) = rest {
        grouped.push('.');
        grouped.push_str(rest);
    }
    grouped
}

/// A text of at most so many characters: names that people made up can be long.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("übermäßig", 3), "übe…");
    }

    #[test]
    fn thousands_have_commas_and_small_numbers_decimals() {
        for (number, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (1_234_567.0, "1,234,567"),
            (-1_000.0, "-1,000"),
            (12.345, "12.35"),
            (0.01234, "0.0123"),
            (98_765.4, "98,765"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(crate::http::status::readable::number(number), text);
        }
    }
}
