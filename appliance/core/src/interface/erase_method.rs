//! The names of erase methods in the API and in the string pool.

use farrier_protocol::message::EraseMethod;

/// The methods with their names, the weakest first.
pub const ERASE_METHODS: [(EraseMethod, &str); 3] = [
    (EraseMethod::Discard, "discard"),
    (EraseMethod::WriteZeroes, "write_zeroes"),
    (EraseMethod::Overwrite, "overwrite"),
];

/// The method of that name.
pub fn erase_method(name: &str) -> Option<EraseMethod> {
    let mut all = ERASE_METHODS.into_iter();
    all.find(|(_, known)| *known == name)
        .map(|(method, _)| method)
}

/// The name of a method.
pub fn erase_method_name(method: EraseMethod) -> &'static str {
    let mut all = ERASE_METHODS.into_iter();
    all.find(|(known, _)| *known == method)
        .map_or("", |(_, name)| name)
}
