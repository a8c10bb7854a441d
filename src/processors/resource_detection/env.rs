//! `env`: the attributes that the environment gives.

use percent_encoding::percent_decode_str;

use super::super::constant::Constant;
use super::found::{Detected, FoundAttributes};
use super::machine::ObservedMachine;

const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The older name of it.
const OLDER: &str = "OTEL_RESOURCE";

/// The most bytes of a key and of a value before it is decoded, as in the Collector.
const MOST: usize = 256;

/// The most pairs: each costs something for every resource.
const MOST_PAIRS: usize = 128;

pub(super) fn detect(machine: &ObservedMachine) -> Detected {
    let written = [VARIABLE, OLDER].into_iter().find_map(|name| {
        let text = machine.variable(name)?;
        let text = text.trim();
        (!text.is_empty()).then(|| (name, text.to_owned()))
    });
    let Some((name, text)) = written else {
        return Detected::default();
    };
    match parse(&text) {
        Ok(attributes) => Detected {
            attributes,
            problems: Vec::new(),
        },
        Err(problem) => Detected::failed(format!("{name}: {problem}; none of it is used")),
    }
}

/// Reads `key=value,key=value`. The messages show no value.
fn parse(text: &str) -> Result<FoundAttributes, String> {
    let mut found = FoundAttributes::default();
    // One comma may end the list.
    let text = text.strip_suffix(',').unwrap_or(text);
    for (place, pair) in (1..).zip(text.split(',')) {
        let wrong = |what: &str| format!("pair {place} {what}");
        if place > MOST_PAIRS {
            return Err(format!("has more than {MOST_PAIRS} pairs"));
        }
        let Some((key, value)) = pair.split_once('=') else {
            return Err(wrong("has no `=`"));
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(wrong("has no key"));
        }
        if !key.is_ascii() || !value.is_ascii() {
            return Err(wrong("has letters that must be written as %XX"));
        }
        if key.len() > MOST || value.len() > MOST {
            return Err(wrong("is longer than 256 bytes"));
        }
        if !has_whole_escapes(value) {
            return Err(wrong("has a % without two hexadecimal digits"));
        }
        let spaced = value.replace('+', " ");
        let value = percent_decode_str(&spaced).decode_utf8_lossy();
        found.put(key, Constant::text(&value));
    }
    Ok(found)
}

fn has_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_pairs_with_commas_between_them() {
        let f = |text: &str, expected: &[(&str, &str)]| {
            let mut wanted = FoundAttributes::default();
            for (key, value) in expected {
                wanted.put(key, Constant::text(value));
            }
            assert_eq!(parse(text), Ok(wanted), "{text}");
        };
        f("a=1", &[("a", "1")]);
        f(" a = 1 , b.c=x/y=z ,", &[("a", "1"), ("b.c", "x/y=z")]);
        f("a=1,a=2", &[("a", "2")]);
        f("a=", &[("a", "")]);
        f("a=1%2C2+3%25", &[("a", "1,2 3%")]);
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let long = format!("a={}", "x".repeat(257));
        let many: Vec<String> = (0..129).map(|number| format!("{number}=x")).collect();
        assert!(parse(&many[..128].join(",")).is_ok());
        let f = |text: &str, expected: &str| {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        };
        f("secret", "pair 1 has no `=`");
        f("a=1,,b=2", "pair 2 has no `=`");
        f("a=1,=2", "pair 2 has no key");
        f("a=größe", "pair 1 has letters that must be written as %XX");
        f("a=%2", "pair 1 has a % without two hexadecimal digits");
        f("a=%zz", "pair 1 has a % without two hexadecimal digits");
        f(&long, "pair 1 is longer than 256 bytes");
        f(&many.join(","), "has more than 128 pairs");
    }
}
