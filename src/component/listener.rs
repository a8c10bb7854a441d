//! The settings of a listening socket, the same for everything that listens.

use std::net::SocketAddr;

use crate::yaml::{FromValue, Value};

/// Where to listen, and under which protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Address and port; port 0 takes a free one.
    pub endpoint: SocketAddr,
    /// Allows an address beyond loopback without TLS and authentication.
    pub allow_insecure_bind: bool,
}

impl FromValue for ListenerConfig {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let endpoint = fields.required::<SocketAddr>("endpoint");
        let allow_insecure_bind = fields.or("allow_insecure_bind", false);
        fields.finish();
        let endpoint = endpoint?;
        if !endpoint.ip().is_loopback() && !allow_insecure_bind {
            return value.error(format_args!(
                "{endpoint} is reachable from other machines: listen on 127.0.0.1, or set \
                 allow_insecure_bind: true"
            ));
        }
        Some(Self {
            endpoint,
            allow_insecure_bind,
        })
    }
}
