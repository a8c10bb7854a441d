//! Parses the JSON answers of a server: a whole body, or a list element by element.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::receivers::scrape::FailureReason;
use crate::resilience::FetchError;
use crate::steps;

/// Parses the whole body. The error names line and column and doesn't quote the body.
pub(super) fn json<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, FetchError> {
    steps::count(body.len());
    serde_json::from_slice(body).map_err(|error| {
        // serde's own message quotes the value that it found.
        garbage(format!(
            "not the expected JSON, at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

/// An answer that can't be read: a failure with the reason `parse`.
pub(super) fn garbage(message: impl Into<String>) -> FetchError {
    FailureReason::Parse.error(message)
}

/// The elements of a JSON list, each as its own text: an element that can't be read doesn't cost
/// the others. serde alone can't go on after an error within a list.
#[derive(Debug, Clone)]
pub(super) struct Elements<'a> {
    /// What is left to read: from the opening bracket, or the comma after the last element, on.
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Fails unless the whole body is valid JSON and a list.
    pub(super) fn of(body: &'a [u8]) -> Result<Self, FetchError> {
        let IgnoredAny = json(body)?;
        let rest = body.trim_ascii();
        if rest.first() != Some(&b'[') {
            return Err(garbage("not the expected JSON: no list"));
        }
        Ok(Self { rest })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (_, rest) = self.rest.split_first()?;
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        let end = rest.iter().position(|&byte| {
            if quoted {
                quoted = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
                return false;
            }
            match byte {
                b'"' => quoted = true,
                b'[' | b'{' => depth += 1,
                b',' if depth == 0 => return true,
                b']' | b'}' if depth == 0 => return true,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            false
        })?;
        steps::count(end);
        let (element, rest) = rest.split_at(end);
        self.rest = if rest.starts_with(b",") { rest } else { &[] };
        let element = element.trim_ascii();
        (!element.is_empty()).then_some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_between_its_elements_and_nowhere_else() {
        let f = |text: &str, expected: &[&str]| {
            let elements: Vec<_> = Elements::of(text.as_bytes())
                .unwrap()
                .map(|element| std::str::from_utf8(element).unwrap())
                .collect();
            assert_eq!(elements, expected, "{text}");
        };
        f("[]", &[]);
        f(" [ \n ] ", &[]);
        f("[1]", &["1"]);
        f(
            " [ 1 , {\"a\": [2, 3]} ,[4,{}]]\n",
            &["1", "{\"a\": [2, 3]}", "[4,{}]"],
        );
        f(
            r#"["a,]\"}","\\",""]"#,
            &[r#""a,]\"}""#, r#""\\""#, r#""""#],
        );
    }

    #[test]
    fn what_is_no_list_has_no_elements() {
        for text in [
            "", "{}", "1", "\"[]\"", "[1", "[1,]", "[1]]", "[1] x", "<html>", "[}]",
        ] {
            assert!(Elements::of(text.as_bytes()).is_err(), "{text}");
        }
    }
}
