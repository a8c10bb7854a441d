//! JSON to protobuf, in one pass over the text and without owned structs.
//!
//! As the protocol asks of receivers: unknown keys are skipped, 64-bit integers may be
//! strings or numbers, null means absent. Enumerations may be names as well as numbers,
//! because other senders write them so.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::encode::Encoder;
use super::super::protocol::{Field, Kind, Message, Presence};
use super::super::{Batch, Malformed, Signal};

/// The text isn't OTLP JSON. Holds nothing of its values.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It isn't UTF-8.
    #[error("{0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// It is no JSON, or a value has the wrong shape.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    /// It nests values more deeply than protobuf allows.
    #[error("{0}")]
    Nesting(#[from] Malformed),
}

/// Reads an export request of this signal.
///
/// # Errors
///
/// [`Invalid`], which names the place.
pub fn decode(signal: Signal, text: &[u8]) -> Result<Batch, Invalid> {
    // At once, since the values of unknown keys are skipped unseen.
    let text = std::str::from_utf8(text)?;
    let mut out = Encoder::default();
    let mut json = serde_json::Deserializer::from_str(text);
    Content {
        message: signal.request(),
        out: &mut out,
    }
    .deserialize(&mut json)?;
    json.end()?;
    Ok(Batch::decode(signal, out.finish().into())?)
}

/// The fields of a message: written into the message that is open.
struct Content<'o> {
    message: &'static Message,
    out: &'o mut Encoder,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object that holds a {}", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match self.message.fields.iter().find(|field| field.name == key) {
                Some(field) => map.next_value_seed(Values {
                    field,
                    out: self.out,
                })?,
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// A key, borrowed from the text where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        json.deserialize_str(KeyVisitor)
    }
}

/// What stands behind a field's key: one value, a list, or null.
struct Values<'o> {
    field: &'static Field,
    out: &'o mut Encoder,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.presence == Presence::Repeated {
            write!(f, "a list for {}", self.field.name)
        } else {
            expected(self.field, f)
        }
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.field.presence == Presence::Repeated {
            return json.deserialize_seq(self);
        }
        let Self { field, out } = self;
        match (field.presence, field.kind) {
            (_, Kind::Message(message)) => nested(field, message, out, json),
            (presence, _) => {
                let scalar = Scalar { field }.deserialize(json)?;
                // Writers leave out what is absent anyway.
                if presence != Presence::Implicit || !scalar.is_default() {
                    scalar.write(field.number, out);
                }
                Ok(())
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { field, out } = self;
        match field.kind {
            Kind::Message(message) => {
                while list
                    .next_element_seed(Element {
                        field,
                        message,
                        out,
                    })?
                    .is_some()
                {}
            }
            Kind::String | Kind::Bytes | Kind::Id => {
                while let Some(scalar) = list.next_element_seed(Scalar { field })? {
                    scalar.write(field.number, out);
                }
            }
            _ => {
                let mut packed = list.next_element_seed(Scalar { field })?;
                if packed.is_some() {
                    out.begin(field.number);
                    while let Some(scalar) = packed {
                        scalar.write_raw(out);
                        packed = list.next_element_seed(Scalar { field })?;
                    }
                    out.end();
                }
            }
        }
        Ok(())
    }
}

/// One message of a list.
struct Element<'o> {
    field: &'static Field,
    message: &'static Message,
    out: &'o mut Encoder,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        nested(self.field, self.message, self.out, json)
    }
}

fn nested<'de, D: Deserializer<'de>>(
    field: &'static Field,
    message: &'static Message,
    out: &mut Encoder,
    json: D,
) -> Result<(), D::Error> {
    out.begin(field.number);
    Content { message, out }.deserialize(json)?;
    out.end();
    Ok(())
}

/// A value as the wire has it.
enum Wire {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Vec<u8>),
}

impl Wire {
    fn is_default(&self) -> bool {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => *value == 0,
            Self::Fixed32(value) => *value == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    fn write(&self, field: u32, out: &mut Encoder) {
        match self {
            Self::Varint(value) => out.uint(field, *value),
            Self::Fixed64(bits) => out.fixed64(field, *bits),
            Self::Fixed32(bits) => out.fixed32(field, *bits),
            Self::Bytes(bytes) => out.bytes(field, bytes),
        }
    }

    /// As it stands in a packed list; texts are never packed.
    fn write_raw(&self, out: &mut Encoder) {
        match self {
            Self::Varint(value) => out.raw_varint(*value),
            Self::Fixed64(bits) => out.raw_fixed64(*bits),
            Self::Fixed32(bits) => out.raw_fixed32(*bits),
            Self::Bytes(_) => {}
        }
    }
}

/// One value that is no message.
struct Scalar {
    field: &'static Field,
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Wire;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Wire, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Wire;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expected(self.field, f)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Wire, E> {
        match self.field.kind {
            Kind::Bool => Ok(Wire::Varint(u64::from(flag))),
            _ => Err(self.wrong()),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Wire, E> {
        self.integer(i128::from(number)).ok_or_else(|| self.wrong())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Wire, E> {
        self.integer(i128::from(number)).ok_or_else(|| self.wrong())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Wire, E> {
        match self.field.kind {
            Kind::Double => Ok(Wire::Fixed64(number.to_bits())),
            // JSON knows no integers: 1e3 and 5.0 are whole numbers too. Beyond 2^53 a
            // double doesn't say which number was meant.
            _ if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
                self.integer(number as i128).ok_or_else(|| self.wrong())
            }
            _ => Err(self.wrong()),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Wire, E> {
        let read = match self.field.kind {
            Kind::String => Some(Wire::Bytes(text.as_bytes().to_vec())),
            Kind::Id => hex(text).map(Wire::Bytes),
            Kind::Bytes => BASE64
                .decode(text.replace('-', "+").replace('_', "/"))
                .ok()
                .map(Wire::Bytes),
            Kind::Double => double(text).map(|number| Wire::Fixed64(number.to_bits())),
            Kind::Enum(names) => {
                let value = names.iter().position(|name| *name == text);
                value.and_then(|value| self.integer(value as i128))
            }
            Kind::Bool | Kind::Message(_) => None,
            _ => text
                .parse()
                .ok()
                .and_then(|number: i128| self.integer(number)),
        };
        read.ok_or_else(|| self.wrong())
    }
}

impl Scalar {
    /// An integer in the field's own encoding, where it fits the field's type.
    fn integer(&self, number: i128) -> Option<Wire> {
        Some(match self.field.kind {
            Kind::Int32 | Kind::Enum(_) => {
                // Negative numbers take ten bytes on the wire, as if they had 64 bits.
                Wire::Varint(i64::from(i32::try_from(number).ok()?).cast_unsigned())
            }
            Kind::Uint32 => Wire::Varint(u64::from(u32::try_from(number).ok()?)),
            Kind::Sint32 => {
                let number = i32::try_from(number).ok()?;
                Wire::Varint(u64::from((number << 1 ^ number >> 31).cast_unsigned()))
            }
            Kind::Fixed32 => Wire::Fixed32(u32::try_from(number).ok()?),
            Kind::Int64 => Wire::Varint(i64::try_from(number).ok()?.cast_unsigned()),
            Kind::Uint64 => Wire::Varint(u64::try_from(number).ok()?),
            Kind::Fixed64 | Kind::Nanos => Wire::Fixed64(u64::try_from(number).ok()?),
            Kind::Sfixed64 => Wire::Fixed64(i64::try_from(number).ok()?.cast_unsigned()),
            Kind::Double => Wire::Fixed64((number as f64).to_bits()),
            Kind::Bool | Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => return None,
        })
    }

    /// The error for a value of the wrong kind. It doesn't show the value: that may be
    /// long, or private.
    fn wrong<E: serde::de::Error>(&self) -> E {
        struct Expected<'s>(&'s Scalar);
        impl fmt::Display for Expected<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("expected ")?;
                self.0.expecting(f)
            }
        }
        E::custom(Expected(self))
    }
}

/// What a field wants, in the words of JSON.
fn expected(field: &Field, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let wanted = match field.kind {
        Kind::Bool => "true or false",
        Kind::Int32 | Kind::Sint32 => "a 32-bit integer",
        Kind::Uint32 | Kind::Fixed32 => "an unsigned 32-bit integer",
        Kind::Int64 | Kind::Sfixed64 => "a 64-bit integer",
        Kind::Uint64 | Kind::Fixed64 | Kind::Nanos => "an unsigned 64-bit integer",
        Kind::Double => "a number",
        Kind::String => "a string",
        Kind::Bytes => "bytes in base64",
        Kind::Id => "an id in hexadecimal",
        Kind::Enum(_) => "the number of an enumeration",
        Kind::Message(_) => "an object",
    };
    write!(f, "{wanted} for {}", field.name)
}

/// Standard base64, padded or not, as the protocol's reference implementations read it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value;
    use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
    use prost::Message as _;

    use super::super::write;
    use super::*;

    fn point(point: &str) -> Result<Batch, String> {
        let text = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[
               {{"name":"m","gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
        );
        decode(Signal::Metrics, text.as_bytes()).map_err(|error| error.to_string())
    }

    fn value(text: &str) -> Option<number_data_point::Value> {
        let batch = point(text).unwrap();
        let bytes = batch.parts()[0].bytes().clone();
        let mut request = ExportMetricsServiceRequest::decode(bytes).unwrap();
        let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(metric::Data::Gauge(gauge)) = &metric.data else {
            panic!("{metric:?}")
        };
        gauge.data_points[0].value
    }

    #[test]
    fn numbers_are_read_in_every_form_that_senders_write() {
        use number_data_point::Value::{AsDouble, AsInt};
        assert_eq!(value(r#"{"asInt":"-7"}"#), Some(AsInt(-7)));
        assert_eq!(value(r#"{"asInt":-7}"#), Some(AsInt(-7)));
        assert_eq!(value(r#"{"asInt":7.0}"#), Some(AsInt(7)));
        assert_eq!(
            value(r#"{"asInt":"9223372036854775807"}"#),
            Some(AsInt(i64::MAX))
        );
        assert_eq!(value(r#"{"asDouble":0}"#), Some(AsDouble(0.0)));
        assert_eq!(value(r#"{"asDouble":1e300}"#), Some(AsDouble(1e300)));
        assert_eq!(value(r#"{"asDouble":"2.5"}"#), Some(AsDouble(2.5)));
        assert_eq!(
            value(r#"{"asDouble":"-Infinity"}"#),
            Some(AsDouble(f64::NEG_INFINITY))
        );
        let Some(AsDouble(nan)) = value(r#"{"asDouble":"NaN"}"#) else {
            panic!()
        };
        assert!(nan.is_nan());
        assert_eq!(value("{}"), None);
    }

    #[test]
    fn null_is_absent_and_unknown_keys_are_skipped() {
        let batch = point(r#"{"attributes":null,"exemplars":null,"novel":[{"a":1}],"asInt":1}"#);
        assert_eq!(batch.unwrap().items(), 1);
        assert_eq!(
            decode(Signal::Logs, br#"{"resourceLogs":null}"#)
                .unwrap()
                .items(),
            0
        );
        assert_eq!(decode(Signal::Logs, b"{}").unwrap().items(), 0);
    }

    #[test]
    fn a_wrong_shape_is_told_with_its_place_and_without_its_value() {
        let f = |text: &str, expected: &str| {
            let error = point(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        f(
            r#"{"asInt":"seven"}"#,
            "expected a 64-bit integer for asInt at line 2",
        );
        f(r#"{"asInt":1.5}"#, "expected a 64-bit integer for asInt");
        f(
            r#"{"asInt":"9223372036854775808"}"#,
            "expected a 64-bit integer for asInt",
        );
        f(
            r#"{"timeUnixNano":-1}"#,
            "expected an unsigned 64-bit integer for timeUnixNano",
        );
        f(
            r#"{"flags":4294967296}"#,
            "expected an unsigned 32-bit integer for flags",
        );
        f(r#"{"attributes":{}}"#, "expected a list for attributes");
        f(
            r#"{"attributes":[7]}"#,
            "expected an object that holds a KeyValue",
        );
        f(
            r#"{"exemplars":[{"traceId":"xyz"}]}"#,
            "expected an id in hexadecimal for traceId",
        );
        f(
            r#"{"attributes":[null]}"#,
            "expected an object that holds a KeyValue",
        );
        f(r#"{"asInt":"#, "expected value at line 2");
        assert!(decode(Signal::Metrics, b"[]").is_err());
        assert!(decode(Signal::Metrics, b"{} {}").is_err());
        assert!(decode(Signal::Metrics, b"\xff").is_err());
    }

    #[test]
    fn values_may_not_be_nested_without_end() {
        let depth = 200;
        let nested = r#"{"arrayValue":{"values":["#.repeat(depth) + &"]}}".repeat(depth);
        let text = format!(r#"{{"attributes":[{{"key":"k","value":{nested}}}]}}"#);
        assert!(point(&text).is_err());
    }

    #[test]
    fn bytes_and_ids_are_read_as_they_are_written() {
        let text = r#"{"attributes":[{"key":"b","value":{"bytesValue":"AP8="}}],"asInt":1,
            "exemplars":[{"traceId":"000102030405060708090a0b0c0d0e0F","asDouble":1}]}"#;
        let batch = point(text).unwrap();
        let bytes = batch.parts()[0].bytes().clone();
        let request = ExportMetricsServiceRequest::decode(bytes.clone()).unwrap();
        let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(metric::Data::Gauge(gauge)) = &metric.data else {
            panic!("{metric:?}")
        };
        let point = &gauge.data_points[0];
        let value = point.attributes[0]
            .value
            .clone()
            .and_then(|value| value.value);
        assert_eq!(value, Some(any_value::Value::BytesValue(vec![0, 255])));
        assert_eq!(point.exemplars[0].trace_id, (0..16).collect::<Vec<u8>>());

        let mut json = Vec::new();
        write(Signal::Metrics, &bytes, &mut json).unwrap();
        let again = decode(Signal::Metrics, &json).unwrap().parts()[0]
            .bytes()
            .clone();
        assert_eq!(ExportMetricsServiceRequest::decode(again), Ok(request));
    }
}
