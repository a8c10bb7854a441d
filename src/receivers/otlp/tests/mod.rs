mod answers;

use super::*;

#[test]
fn taken_ports_make_one_warning() {
    let id = "otlp".parse().unwrap();
    let grpc = ("grpc", SocketAddr::from(([127, 0, 0, 1], 4317)));
    let http = ("http", SocketAddr::from(([127, 0, 0, 1], 4318)));
    let f = |taken: &[(&str, SocketAddr)], expected: Option<&str>| {
        assert_eq!(without(&id, taken).as_deref(), expected);
    };
    f(&[], None);
    f(
        &[http],
        Some(
            "OTLP by http on 127.0.0.1:4318 is not served, since that port is taken, perhaps \
             by a collector; receivers::otlp::protocols::http::endpoint is where to choose \
             another",
        ),
    );
    f(
        &[grpc, http],
        Some(
            "OTLP by grpc on 127.0.0.1:4317 and http on 127.0.0.1:4318 are not served, since \
             those ports are taken, perhaps by a collector; \
             receivers::otlp::protocols::grpc::endpoint is where to choose another",
        ),
    );
}
