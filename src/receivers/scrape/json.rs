//! Parses the JSON answers of servers: a whole body, or a list element by element.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

use super::FailureReason;
use crate::resilience::FetchError;
use crate::steps;

/// Parses the whole body. The error names line and column and doesn't quote the body.
pub fn json<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, FetchError> {
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
pub fn garbage(message: impl Into<String>) -> FetchError {
    FailureReason::Parse.error(message)
}

/// The elements of a JSON list, each as its own text: an element that can't be read doesn't cost
/// the others. serde alone can't go on after an error within a list.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    /// What is left to read: from the opening bracket, or the comma after the last element, on.
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Fails unless the whole body is valid JSON and a list.
    pub fn of(body: &'a [u8]) -> Result<Self, FetchError> {
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

/// A whole number that isn't negative, also when it is written like `5.0`.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeNumber(
    /// The value.
    pub u64,
);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonNumber).and_then(|number| {
            // As doubles, u64's bounds are 0 and 2^64.
            match number {
                Ok(whole) => Ok(Self(whole)),
                Err(double) if double.fract() == 0.0 && double < 18_446_744_073_709_551_616.0 => {
                    Ok(Self(double as u64))
                }
                Err(_) => Err(D::Error::custom("not a whole number")),
            }
        })
    }
}

/// A finite number that isn't negative.
#[derive(Debug, Clone, PartialEq)]
pub struct NonNegative(
    /// The value.
    pub f64,
);

impl<'de> Deserialize<'de> for NonNegative {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(JsonNumber)?;
        Ok(Self(
            number.map_or_else(|double| double, |whole| whole as f64),
        ))
    }
}

/// Reads a number that isn't negative: `Ok` if it is written as a whole number, else `Err`.
struct JsonNumber;

impl Visitor<'_> for JsonNumber {
    type Value = Result<u64, f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number that isn't negative")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Ok(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.is_finite() && value >= 0.0 {
            Ok(Err(value))
        } else {
            Err(E::custom("out of range"))
        }
    }
}

/// An id or a state: a text, or a whole number that is taken as its digits.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonText(
    /// The value.
    pub String,
);

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = JsonText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, value: &str) -> Result<JsonText, E> {
        Ok(JsonText(value.to_owned()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonText, E> {
        Ok(JsonText(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonText, E> {
        Ok(JsonText(value.to_string()))
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
