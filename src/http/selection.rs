//! The part of a page that a client asks for: `/metrics?name[]=librechat_up`, as Python's client has it.

use std::collections::HashSet;

/// The names that a query asks for; none where it asks for all.
pub fn wanted(query: &str) -> HashSet<String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(name, _)| name == "name[]").map(|(_, value)| value.into_owned()).collect()
}

/// The families of a page, in either format, that are wanted by their name or by that of a sample.
pub fn select(page: &[u8], wanted: &HashSet<String>) -> String {
    let page = String::from_utf8_lossy(page);
    let mut selected = String::new();
    let (mut family, mut is_wanted) = (String::new(), false);
    let mut end = |family: &mut String, is_wanted: bool| {
        if is_wanted {
            selected.push_str(family);
        }
        family.clear();
    };
    for line in page.split_inclusive('\n') {
        // Each family begins with its help, and OpenMetrics ends with a line of its own.
        if line.starts_with("# HELP ") || line.starts_with("# EOF") {
            end(&mut family, is_wanted);
            is_wanted = line.starts_with("# EOF");
        }
        let name = line.strip_prefix("# HELP ").unwrap_or(line);
        let name = name.split([' ', '{', '\n']).next().unwrap_or_default();
        is_wanted |= wanted.contains(name);
        family.push_str(line);
    }
    end(&mut family, is_wanted);
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &[u8] = b"# HELP a_up Whether.\n# TYPE a_up gauge\na_up 1\n\
        # HELP a_calls Calls.\n# TYPE a_calls counter\na_calls_total{b=\"c\"} 2\na_calls_created{b=\"c\"} 1\n\
        # HELP a_up_too Other.\n# TYPE a_up_too gauge\na_up_too 3\n# EOF\n";

    fn selected(query: &str) -> Vec<String> {
        let page = select(PAGE, &wanted(query));
        assert!(page.ends_with("# EOF\n"), "{page}");
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.map(str::to_owned).collect()
    }

    #[test]
    fn families_are_found_by_their_names_and_by_those_of_their_samples() {
        assert_eq!(selected("name[]=a_up"), ["a_up 1"]);
        let calls = ["a_calls_total{b=\"c\"} 2", "a_calls_created{b=\"c\"} 1"];
        for query in ["name[]=a_calls", "name%5B%5D=a_calls_total", "x=1&name[]=a_calls_created"] {
            assert_eq!(selected(query), calls, "{query}");
        }
        assert_eq!(selected("name[]=a_up&name[]=a_up_too"), ["a_up 1", "a_up_too 3"]);
        assert_eq!(selected("name[]=nothing"), [""; 0]);
        for all in ["", "name=a_up", "other[]=a_up", "%%%=1"] {
            assert!(wanted(all).is_empty(), "{all}");
        }
    }
}
