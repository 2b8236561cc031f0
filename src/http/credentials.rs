//! Credentials that no client could show, so that nobody could read the metrics.

const QUOTES: &str = "a value without quotes around it: they would be part of the secret";

/// What a token must be instead, if `token` cannot stand in the header `Authorization`.
pub fn fault_of_token(token: &str) -> Option<&'static str> {
    if is_quoted(token) {
        return Some(QUOTES);
    }
    let is_shown = token.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_shown).then_some(
        "visible characters of ASCII only: no space, end of line or byte order mark, in or around it",
    )
}

/// What a user or a password must be instead, if people or programs cannot send `text`.
pub fn fault_of_password(text: &str) -> Option<&'static str> {
    if is_quoted(text) {
        return Some(QUOTES);
    }
    let is_sent =
        text.trim() == text && !text.contains(|c: char| c.is_control() || c == '\u{feff}');
    (!is_sent).then_some(
        "no space, end of line or byte order mark around it, and no control character in it",
    )
}

fn is_quoted(text: &str) -> bool {
    ['"', '\'']
        .iter()
        .any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_client_can_show_is_told() {
        for token in
            [" ", "sec ", " sec", "se c", "sec\n", "sec\r", "s\tec", "töken", "\u{feff}sec"]
        {
            assert!(fault_of_token(token).is_some(), "{token:?}");
        }
        for password in [" ", "sec ", "sec\n", "s\tec", "\u{feff}sec", "s\u{7f}"] {
            assert!(fault_of_password(password).is_some(), "{password:?}");
        }
        for quoted in ["\"sec\"", "'sec'", "\"\""] {
            assert_eq!(fault_of_token(quoted), Some(QUOTES));
            assert_eq!(fault_of_password(quoted), Some(QUOTES));
        }
        for good in ["sec", "se\"c", "'", "a/b+c==", "$2y$10$x", "~!@#%^&*()_+{}|:<>?"] {
            assert_eq!((fault_of_token(good), fault_of_password(good)), (None, None), "{good}");
        }
        for good in ["correct horse battery", "pässword"] {
            assert_eq!(fault_of_password(good), None, "{good}");
        }
    }
}
