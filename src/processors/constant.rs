//! Values that a configuration gives for attributes.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Any,
};
use prost::Message;

use crate::pdata::view::{Value as Attribute, View};
use crate::yaml::{FromValue, Node, NodeKind, PlacedNode};

/// A value of the type that its YAML shows, as the Collector's parser has it: `010` is 8,
/// `1_000` a thousand, `yes` a text, and whatever is quoted a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constant(Box<[u8]>);

impl Constant {
    /// A text.
    pub(super) fn text(text: &str) -> Self {
        Self::of(Any::StringValue(text.to_owned()))
    }

    /// A whole number.
    pub(super) fn int(number: i64) -> Self {
        Self::of(Any::IntValue(number))
    }

    /// A list of texts.
    pub(super) fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let values = texts.into_iter().map(|text| AnyValue {
            value: Some(Any::StringValue(text.to_owned())),
        });
        Self::of(Any::ArrayValue(ArrayValue {
            values: values.collect(),
        }))
    }

    fn of(value: Any) -> Self {
        let value = AnyValue { value: Some(value) };
        Self(value.encode_to_vec().into())
    }

    /// The value as an attribute's.
    pub(super) fn value(&self) -> Attribute<'_> {
        Attribute::parse(&self.0)
    }

    /// Whether an attribute has this very value, type included; maps in any order.
    pub(super) fn is(&self, value: &Attribute<'_>) -> bool {
        same(&self.value(), value)
    }
}

impl FromValue for Constant {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let any = AnyValue {
            value: any(value.node()),
        };
        Some(Self(any.encode_to_vec().into()))
    }
}

fn same(a: &Attribute<'_>, b: &Attribute<'_>) -> bool {
    match (a, b) {
        (Attribute::Empty, Attribute::Empty) => true,
        (Attribute::Str(a), Attribute::Str(b)) => a == b,
        (Attribute::Bool(a), Attribute::Bool(b)) => a == b,
        (Attribute::Int(a), Attribute::Int(b)) => a == b,
        (Attribute::Double(a), Attribute::Double(b)) => a == b,
        (Attribute::Bytes(a), Attribute::Bytes(b)) => a == b,
        (Attribute::Array(a), Attribute::Array(b)) => {
            let (mut a, mut b) = (a.iter(), b.iter());
            loop {
                match (a.next(), b.next()) {
                    (Some(a), Some(b)) if same(&a, &b) => {}
                    (None, None) => return true,
                    _ => return false,
                }
            }
        }
        (Attribute::Map(a), Attribute::Map(b)) => {
            let (a, b) = (a.sorted(), b.sorted());
            a.len() == b.len()
                && a.zip(b)
                    .all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        _ => false,
    }
}

fn any(node: &Node) -> Option<Any> {
    Some(match &node.kind {
        NodeKind::Null => return None,
        NodeKind::Scalar { text, quoted: true } => Any::StringValue(text.clone()),
        NodeKind::Secret { text, .. } => Any::StringValue(text.expose().to_owned()),
        NodeKind::Scalar { text, .. } => plain(text),
        NodeKind::List(items) => {
            let values = items.iter().map(|item| AnyValue { value: any(item) });
            Any::ArrayValue(ArrayValue {
                values: values.collect(),
            })
        }
        NodeKind::Map(entries) => {
            let values = entries.iter().map(|entry| KeyValue {
                key: entry.key.clone(),
                value: Some(AnyValue {
                    value: any(&entry.value),
                }),
                ..Default::default()
            });
            Any::KvlistValue(KeyValueList {
                values: values.collect(),
            })
        }
    })
}

/// A scalar without quotes.
fn plain(text: &str) -> Any {
    match text {
        "true" | "True" | "TRUE" => return Any::BoolValue(true),
        "false" | "False" | "FALSE" => return Any::BoolValue(false),
        ".nan" | ".NaN" | ".NAN" => return Any::DoubleValue(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Any::DoubleValue(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Any::DoubleValue(f64::NEG_INFINITY),
        _ => {}
    }
    // A number begins like one, and its digits may be grouped.
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Any::StringValue(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(value) = whole(&digits) {
        return Any::IntValue(value);
    }
    let decimal = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    match digits.parse::<f64>() {
        Ok(value) if decimal && value.is_finite() => Any::DoubleValue(value),
        _ => Any::StringValue(text.to_owned()),
    }
}

/// A whole number with the prefixes that Go knows.
fn whole(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.as_str())
    } else {
        (10, lower.as_str())
    };
    // The parser below would take another sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(value)
    } else {
        // From 2^63 on the Collector keeps the bits.
        Some(value.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::*;

    #[test]
    fn a_value_has_the_type_that_its_yaml_shows() {
        let f = |yaml: &str, expected: Any| {
            let constant: Constant = read(yaml).unwrap();
            let encoded = AnyValue {
                value: Some(expected),
            }
            .encode_to_vec();
            assert_eq!(&*constant.0, encoded, "{yaml}");
        };
        let text = |text: &str| Any::StringValue(text.to_owned());
        f("lab", text("lab"));
        f("\"123\"", text("123"));
        f("'true'", text("true"));
        f("yes", text("yes"));
        f("1.2.3", text("1.2.3"));
        f("10ms", text("10ms"));
        f("0x", text("0x"));
        f("+-1", text("+-1"));
        f("1e999", text("1e999"));
        f("infinity", text("infinity"));
        f("true", Any::BoolValue(true));
        f("FALSE", Any::BoolValue(false));
        f("123", Any::IntValue(123));
        f("-5", Any::IntValue(-5));
        f("+5", Any::IntValue(5));
        f("010", Any::IntValue(8));
        f("0o17", Any::IntValue(15));
        f("0x1F", Any::IntValue(31));
        f("-0b101", Any::IntValue(-5));
        f("1_000", Any::IntValue(1000));
        f("9223372036854775807", Any::IntValue(i64::MAX));
        f("-9223372036854775808", Any::IntValue(i64::MIN));
        f("18446744073709551615", Any::IntValue(-1));
        f("1.5", Any::DoubleValue(1.5));
        f(".5", Any::DoubleValue(0.5));
        f("08", Any::DoubleValue(8.0));
        f("-1e3", Any::DoubleValue(-1000.0));
        f("18446744073709551616", Any::DoubleValue(2_f64.powi(64)));
        f(".inf", Any::DoubleValue(f64::INFINITY));
        let one = AnyValue {
            value: Some(Any::IntValue(1)),
        };
        f(
            "[1]",
            Any::ArrayValue(ArrayValue {
                values: vec![one.clone()],
            }),
        );
        f(
            "{a: 1}",
            Any::KvlistValue(KeyValueList {
                values: vec![KeyValue {
                    key: "a".to_owned(),
                    value: Some(one),
                    ..Default::default()
                }],
            }),
        );
    }

    #[test]
    fn values_are_the_same_only_with_their_type() {
        let f = |a: &str, b: &str, expected: bool| {
            let (a, b) = (read::<Constant>(a).unwrap(), read::<Constant>(b).unwrap());
            assert_eq!(a.is(&b.value()), expected, "{a:?} {b:?}");
        };
        f("1", "1", true);
        f("1", "'1'", false);
        f("1", "1.0", false);
        f("[1, {a: 1, b: 2}]", "[1, {b: 2, a: 1}]", true);
        f("[1, 2]", "[1]", false);
        f("{a: 1}", "{a: 2}", false);
        f(".nan", ".nan", false);
        f("a", "a", true);
    }
}
