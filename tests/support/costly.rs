//! Requests that cost a reader as much as may be for their size.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test needs another part of it"
)]

/// A field that holds bytes, or a message.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// A request of metrics with one metric, which has these fields.
pub fn metric(fields: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, fields)))
}

/// Requests that are irregular and as costly as may be, of about so many bytes.
pub fn irregular(size: usize) -> Vec<Vec<u8>> {
    let twice = |content: &[u8]| [field(1, content), field(1, content)].concat();
    // A resource in very many pieces, each with the smallest field that there is.
    let pieces = field(1, &field(1, &[0x10, 1]).repeat(size / 4));
    // A resource in two pieces, beside very many empty attributes, metrics or points, which
    // take fifty to two hundred bytes each as structs.
    let attributes = field(1, &twice(&field(1, &[]).repeat(size / 4)));
    let empty = |path: &[u8]| {
        let many = field(1, &[]).repeat(size / 2);
        let inner = path.iter().rev();
        let metrics = inner.fold(many, |content, number| field(*number, &content));
        field(1, &[twice(&[]), metrics].concat())
    };
    // Arrays in arrays, each value in two pieces.
    let mut body = Vec::new();
    for _ in 0..20 {
        body = field(5, &field(1, &body));
        body = [body.clone(), body].concat();
        if body.len() * 2 > size {
            break;
        }
    }
    let attribute = field(1, &[field(2, &body), field(2, &body)].concat());
    vec![
        pieces,
        attributes,
        empty(&[2, 2, 5]),
        empty(&[2, 2]),
        field(1, &field(1, &attribute)),
    ]
}

/// Requests that are regular, and have many times their size, of about so many bytes, as structs
/// or as text.
pub fn regular(size: usize) -> Vec<Vec<u8>> {
    let name = field(1, b"m");
    let gauge = |points: &[u8]| metric(&[name.clone(), field(5, points)].concat());
    // A point with a value, and with very many exemplars or attributes.
    let point = |fields: Vec<u8>| field(1, &[vec![0x21], vec![0; 8], fields].concat());
    let (exemplar, attribute) = (field(5, &[]), field(7, &[]));
    // A cumulative sum without points: six bytes, and a line of sixty.
    let sum = field(2, &field(7, &[0x10, 2]));
    vec![
        gauge(&field(1, &[]).repeat(size / 2)),
        gauge(&point(exemplar.repeat(size / 2))),
        gauge(&point(attribute.repeat(size / 2))),
        field(1, &field(2, &sum.repeat(size / sum.len()))),
        // An attribute that is escaped wherever it is written.
        gauge(&point(field(
            7,
            &[field(1, b"k"), field(2, &field(1, &vec![1; size]))].concat(),
        ))),
    ]
}

/// Requests whose names, help texts, units, keys and values are long, of about so many bytes.
pub fn texts(size: usize) -> Vec<Vec<u8>> {
    let point = |attributes: Vec<u8>| {
        let value = [
            vec![0x19],
            1_u64.to_le_bytes().to_vec(),
            vec![0x21],
            vec![0; 8],
        ]
        .concat();
        field(5, &field(1, &[value, attributes].concat()))
    };
    let attribute =
        |key: &[u8], value: &[u8]| field(7, &[field(1, key), field(2, &field(1, value))].concat());
    let long = vec![b'x'; size];
    let one = |fields: &[Vec<u8>]| metric(&fields.concat());
    // As many series as there may be with the longest texts that are shown.
    let most = vec![b'y'; 4096];
    let series = (0..size / (2 * most.len())).map(|i| {
        let name = format!("m{i}").into_bytes();
        let fields = [
            field(1, &name),
            field(2, &most),
            point(attribute(b"k", &most)),
        ];
        field(2, &fields.concat())
    });
    let many = field(1, &field(2, &series.collect::<Vec<_>>().concat()));
    vec![
        one(&[field(1, &long), point(Vec::new())]),
        one(&[field(1, b"a"), field(2, &long), point(Vec::new())]),
        one(&[field(1, b"b"), field(3, &long), point(Vec::new())]),
        one(&[field(1, b"c"), point(attribute(&long, b"v"))]),
        one(&[field(1, b"d"), point(attribute(b"k", &long))]),
        many,
    ]
}
