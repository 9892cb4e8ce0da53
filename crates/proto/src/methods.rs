use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

use crate::FILE_DESCRIPTOR_SET;

/// What a call's `idempotency_level` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// A read.
    NoSideEffects,
    /// A write that may be repeated.
    Idempotent,
    /// A write that may not be repeated after it was perhaps done.
    Unknown,
}

/// One call of one service.
#[derive(Clone, Debug)]
pub struct Method {
    /// As on the wire: `/order.v1.OrderService/PlaceOrder`.
    pub path: String,
    /// The package's first word: `order`.
    pub service: String,
    pub name: String,
    pub idempotency: Idempotency,
}

static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| {
    // The bytes are our own build's.
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut methods = Vec::new();
    for file in &set.file {
        let package = file.package();
        for service in &file.service {
            for method in &service.method {
                let level = method.options.as_ref().map(|o| o.idempotency_level());
                methods.push(Method {
                    path: format!("/{package}.{}/{}", service.name(), method.name()),
                    service: package.split('.').next().unwrap_or_default().to_owned(),
                    name: method.name().to_owned(),
                    idempotency: match level {
                        Some(IdempotencyLevel::NoSideEffects) => Idempotency::NoSideEffects,
                        Some(IdempotencyLevel::Idempotent) => Idempotency::Idempotent,
                        _ => Idempotency::Unknown,
                    },
                });
            }
        }
    }
    methods
});

/// Every call of every service, as `/proto` declares it.
pub fn methods() -> &'static [Method] {
    &METHODS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_listed_with_its_promise() {
        let level = |path: &str| {
            methods()
                .iter()
                .find(|m| m.path == path)
                .unwrap()
                .idempotency
        };

        assert_eq!(
            level("/order.v1.OrderService/PlaceOrder"),
            Idempotency::Idempotent
        );
        assert_eq!(
            level("/order.v1.OrderService/GetOrder"),
            Idempotency::NoSideEffects
        );
        assert_eq!(
            level("/order.v1.OrderService/AddCartItem"),
            Idempotency::Unknown
        );
    }
}
