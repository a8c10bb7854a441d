//! Attributes that must be there.

use std::borrow::Cow;

use super::super::constant::Constant;
use crate::pdata::view::{Attributes, Value as Attribute};
use crate::settings::{MatchType, Patterns};
use crate::yaml::{Fields, PlacedNode};

/// Attributes that must all be there, some with a value that matches.
#[derive(Debug, Clone)]
pub(crate) struct WantedAttributes(Vec<Wanted>);

#[derive(Debug, Clone)]
struct Wanted {
    key: String,
    value: WantedValue,
}

#[derive(Debug, Clone)]
enum WantedValue {
    Any,
    Is(Constant),
    Matches(Patterns),
}

impl WantedAttributes {
    /// Reads a list of `{key, value}`; none where it isn't written or is empty.
    pub(crate) fn optional(
        fields: &mut Fields<'_>,
        key: &'static str,
        match_type: MatchType,
    ) -> Option<Self> {
        let items = fields.value(key)?.items()?;
        let wanted: Vec<Wanted> = items
            .iter()
            .filter_map(|item| Wanted::read(item, match_type))
            .collect();
        (!wanted.is_empty()).then_some(Self(wanted))
    }

    /// Whether all of them are among these.
    pub(crate) fn match_all(&self, attributes: Attributes<'_>) -> bool {
        self.0.iter().all(|wanted| {
            attributes
                .get(&wanted.key)
                .is_some_and(|value| wanted.value.matches(&value))
        })
    }
}

impl Wanted {
    fn read(item: &PlacedNode<'_>, match_type: MatchType) -> Option<Self> {
        let mut fields = item.fields()?;
        let key: Option<String> = fields.required("key");
        let value = match fields.value("value").filter(|value| !value.is_null()) {
            None => Some(WantedValue::Any),
            Some(value) => WantedValue::read(&value, match_type),
        };
        fields.finish();
        let key = key?;
        if key.is_empty() {
            return item.error("`key` is empty");
        }
        Some(Self { key, value: value? })
    }
}

impl WantedValue {
    fn read(value: &PlacedNode<'_>, match_type: MatchType) -> Option<Self> {
        let constant: Constant = value.read()?;
        if match_type == MatchType::Strict {
            return Some(Self::Is(constant));
        }
        if !matches!(constant.value(), Attribute::Str(_)) {
            return value.error("a pattern is a text: put it in quotes");
        }
        Patterns::one(value, match_type).map(Self::Matches)
    }

    fn matches(&self, value: &Attribute<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Is(constant) => constant.is(value),
            Self::Matches(patterns) => text_of(value).is_some_and(|text| patterns.matches(&text)),
        }
    }
}

/// The text that patterns are held against; bytes, arrays and maps have none.
fn text_of<'a>(value: &Attribute<'a>) -> Option<Cow<'a, str>> {
    Some(match *value {
        Attribute::Str(text) => Cow::Borrowed(text),
        Attribute::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Attribute::Int(value) => Cow::Owned(value.to_string()),
        // As Go writes it, which knows no exponent here, either.
        Attribute::Double(value) if value.is_infinite() => {
            Cow::Borrowed(if value > 0.0 { "+Inf" } else { "-Inf" })
        }
        Attribute::Double(value) => Cow::Owned(value.to_string()),
        Attribute::Empty | Attribute::Bytes(_) | Attribute::Array(_) | Attribute::Map(_) => {
            return None;
        }
    })
}
