//! Regular expressions as Go reads them, written as the crate `regex` reads them.
//!
//! The two differ in little: Go's `\d`, `\w`, `\s` and `\b` know ASCII alone, and its classes
//! have no classes and no operators within.

/// The same expression for the crate. What Go refuses and the crate knows stays as it is.
pub(super) fn from_go(go: &str) -> String {
    let mut out = String::with_capacity(go.len() + 16);
    let mut chars = go.chars().peekable();
    // Whether a class is open, and whether anything stands in it.
    let mut class = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => {
                let Some(escaped) = chars.next() else {
                    out.push('\\');
                    break;
                };
                match escaped {
                    'd' => out.push_str("[0-9]"),
                    'D' => out.push_str("[^0-9]"),
                    'w' => out.push_str("[0-9A-Za-z_]"),
                    'W' => out.push_str("[^0-9A-Za-z_]"),
                    's' => out.push_str(r"[\t\n\f\r ]"),
                    'S' => out.push_str(r"[^\t\n\f\r ]"),
                    'b' if class.is_none() => out.push_str(r"(?-u:\b)"),
                    _ => out.extend(['\\', escaped]),
                }
                class = class.map(|_| true);
            }
            ('[', None) => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class = Some(false);
            }
            // A bracket that closes nothing is itself one of the class.
            (']', Some(false)) => {
                out.push_str(r"\]");
                class = Some(true);
            }
            (']', Some(true)) => {
                out.push(']');
                class = None;
            }
            // [:alpha:] and its like.
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
                class = Some(true);
            }
            ('[' | '&' | '~', Some(_)) => {
                out.extend(['\\', c]);
                class = Some(true);
            }
            // One that begins the class is itself; a later one spans to what follows.
            ('-', Some(false)) => {
                out.push_str(r"\-");
                class = Some(true);
            }
            ('-', Some(true)) if chars.next_if_eq(&'-').is_some() => out.push_str(r"-\-"),
            (_, Some(_)) => {
                out.push(c);
                class = Some(true);
            }
            (_, None) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads_otherwise_is_written_otherwise() {
        let f = |go: &str, expected: &str| {
            let written = from_go(go);
            assert_eq!(written, expected, "{go}");
            assert!(regex::Regex::new(&written).is_ok(), "{go}: {written}");
        };
        f(r"node-\d+\.\w*", r"node-[0-9]+\.[0-9A-Za-z_]*");
        f(r"[\w.-]+", r"[[0-9A-Za-z_].-]+");
        f(r"[^\s]", r"[^[\t\n\f\r ]]");
        f(r"\bx\b", r"(?-u:\b)x(?-u:\b)");
        f("[[a]", r"[\[a]");
        f("[]a]", r"[\]a]");
        f("[^]a]", r"[^\]a]");
        f("[a&&b]", r"[a\&\&b]");
        f("[a~~b]", r"[a\~\~b]");
        f("[+--]", r"[+-\-]");
        f("[--a]", r"[\--a]");
        f("[^-a]", r"[^\-a]");
        f("[[:alpha:]_]", "[[:alpha:]_]");
        f(r"a\\d[\]d]", r"a\\d[\]d]");
        f("(a|b)*c?", "(a|b)*c?");
    }

    #[test]
    fn an_expression_that_ends_early_is_still_one_that_does() {
        for go in ["\\", "[", "[^", "[a", "[[:", "(", "a\\"] {
            assert!(regex::Regex::new(&from_go(go)).is_err(), "{go}");
        }
    }
}
