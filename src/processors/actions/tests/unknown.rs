//! Unknown fields of the key-values that actions change.

use super::*;

#[test]
fn a_new_value_keeps_the_unknown_fields_of_its_key_value() {
    // Field 9 of each key-value is unknown: a number behind the key and the value.
    let known = attribute("a", &Any::StringValue("7".to_owned())).encode_to_vec();
    let unknown = [9 << 3, 42];
    let key_value = [known.as_slice(), &unknown].concat();
    // ResourceLogs.resource, Resource.attributes.
    let nested = |content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [&[1 << 3 | 2, length], content].concat()
    };
    let request = nested(&nested(&nested(&key_value)));
    let after = |actions: &str| {
        let mut batch = Batch::decode(Signal::Logs, request.clone().into()).unwrap();
        batch.edit(&mut Everywhere(read(actions).unwrap()));
        let resource = batch.resource_logs().next().unwrap();
        let raw = resource.attributes().iter().map(|one| one.raw().to_vec());
        raw.collect::<Vec<_>>()
    };
    let with = |value: Any| [attribute("a", &value).encode_to_vec(), unknown.to_vec()].concat();
    let b = || Any::StringValue("b".to_owned());
    for (actions, expected) in [
        ("[{action: update, key: a, value: b}]", b()),
        ("[{action: upsert, key: a, value: b}]", b()),
        (
            "[{action: insert, key: a, value: b}]",
            Any::StringValue("7".to_owned()),
        ),
        // One action after the other.
        (
            "[{action: update, key: a, value: c}, {action: upsert, key: a, value: b}]",
            b(),
        ),
        (
            "[{action: convert, key: a, converted_type: int}]",
            Any::IntValue(7),
        ),
        (
            "[{action: extract, key: a, pattern: '(?P<a>x?)7'}]",
            Any::StringValue(String::new()),
        ),
        (
            "[{action: hash, key: a}]",
            Any::StringValue(
                "7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451".to_owned(),
            ),
        ),
    ] {
        assert_eq!(after(actions), [with(expected)], "{actions}");
    }
}
