//! Keys of the Collector's helpers (`confighttp`, `configgrpc`) that change nothing here. They
//! are accepted, so that the Collector's configurations start unchanged, and a warning says what
//! the agent does instead. A key whose effect users rely on is an error, which shows what to
//! write instead.

use crate::yaml::{Fields, PlacedNode, is_empty, is_false, is_true, is_zero};

/// The keys of an HTTP or gRPC server.
pub fn server_keys(fields: &mut Fields<'_>) {
    let unseen = "nothing here reads the metadata of a request";
    fields.without_effect("include_metadata", is_false, unseen);
    let bounded = "what a connection may hold is bounded, and read as it comes";
    fields.without_effect("read_buffer_size", is_zero, bounded);
    fields.without_effect("write_buffer_size", is_zero, bounded);
    no_extensions(fields);
}

/// The further keys of an HTTP server.
pub fn http_server_keys(fields: &mut Fields<'_>) {
    let deadlines = "every listener has deadlines, which docs/configuration.md lists";
    for key in [
        "read_timeout",
        "read_header_timeout",
        "write_timeout",
        "idle_timeout",
    ] {
        fields.without_effect(key, is_zero, deadlines);
    }
    let kept = "connections are kept until they have been idle for too long";
    fields.without_effect("keep_alives_enabled", is_true, kept);
    let none = "no header is added";
    fields.without_effect("response_headers", is_empty, none);
    let ours = |value: &PlacedNode<'_>| {
        let items = value.items().unwrap_or_default();
        items
            .iter()
            .all(|item| matches!(item.text(), Some("" | "gzip" | "zstd")))
    };
    let always = "gzip and zstd are taken, and nothing else";
    fields.without_effect("compression_algorithms", ours, always);
}

/// The keys of an HTTP server that reads no bodies and has no `cors`.
pub fn page_keys(fields: &mut Fields<'_>) {
    server_keys(fields);
    http_server_keys(fields);
    let never = |_: &PlacedNode<'_>| false;
    fields.without_effect("max_request_body_size", never, "no body is taken");
    let own = "browsers show it to its own site alone";
    fields.without_effect("cors", is_empty, own);
}

/// The keys of an HTTP or gRPC client.
pub fn client_keys(fields: &mut Fields<'_>) {
    let bounded = "what a connection may hold is bounded, and written as it is taken";
    fields.without_effect("read_buffer_size", is_zero, bounded);
    fields.without_effect("write_buffer_size", is_zero, bounded);
    no_extensions(fields);
    if let Some(auth) = fields.foreign("auth").filter(|value| !value.is_null()) {
        auth.error::<()>(
            "there are no authenticator extensions: use headers: {authorization: ...}, \
             `tls` with a certificate, or both",
        );
    }
}

/// Keys that name extensions which would process requests.
fn no_extensions(fields: &mut Fields<'_>) {
    if let Some(value) = fields
        .foreign("middlewares")
        .filter(|value| !is_empty(value))
    {
        value.error::<()>("there are no middleware extensions: leave it out");
    }
}
