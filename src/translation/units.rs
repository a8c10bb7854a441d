//! Units in words.

/// What a metric is measured in, as UCUM has it and in the Collector's words.
const UNITS: [(&str, &str); 25] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    // Spelled as in the Collector.
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// What a rate is per. The words are in the singular, and `m` is a minute here.
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// A UCUM unit in words: the unit itself, and the one after `/` (`per_second`). Annotations in
/// braces are left out.
pub(super) fn words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let named = |text: &str, words: &[(&'static str, &'static str)]| {
        let text = text.trim();
        let is_unit = !text.is_empty() && !text.contains(['{', '}']);
        let word = words.iter().find(|(ucum, _)| *ucum == text);
        is_unit.then(|| word.map_or(text, |(_, word)| word).to_owned())
    };
    // The number one isn't named.
    let main = named(main, &UNITS).filter(|word| word != "1");
    let per = named(per, &PER_UNITS).map(|word| format!("per_{word}"));
    (main.unwrap_or_default(), per.unwrap_or_default())
}

/// A unit in Prometheus's words as UCUM has it, where that is known; itself where it isn't.
pub(super) fn ucum(word: &str) -> &str {
    if word == "ratio" {
        return "1";
    }
    let known = UNITS.iter().find(|(_, known)| *known == word);
    known.map_or(word, |(ucum, _)| ucum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_ucum_say_the_same() {
        for (unit, word) in UNITS {
            assert_eq!(words(unit), (word.to_owned(), String::new()));
            assert_eq!(ucum(word), unit);
        }
    }

    #[test]
    fn a_unit_may_be_unknown_a_rate_or_none() {
        let f = |unit: &str, main: &str, per: &str| {
            assert_eq!(words(unit), (main.to_owned(), per.to_owned()), "{unit}");
        };
        f("1", "", "");
        f("", "", "");
        f("{request}", "", "");
        f("{request}/s", "", "per_second");
        f(" By / m ", "bytes", "per_minute");
        f("m/s", "meters", "per_second");
        f("kat/fortnight", "kat", "per_fortnight");
        assert_eq!(ucum("ratio"), "1");
        assert_eq!(ucum("kat"), "kat");
    }
}
