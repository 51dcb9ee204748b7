//! Fingerprints of serial numbers: what the appliance keeps of them.

/// Placeholders that firmware has instead of a serial number.
const PLACEHOLDERS: [&str; 10] = [
    "none",
    "not specified",
    "not available",
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "0123456789",
    "123456789",
    "chassis serial number",
    "unknown",
];

/// Returns the FNV-1a hash of a serial number without surrounding blanks and in
/// lower case. Returns 0 if the text does not identify a server: it is empty, a
/// placeholder, or one repeated character.
pub fn fingerprint(serial: &str) -> u32 {
    let serial = serial.trim();
    let placeholder = PLACEHOLDERS
        .iter()
        .any(|placeholder| placeholder.eq_ignore_ascii_case(serial));
    let first = serial.bytes().next();
    if placeholder || serial.bytes().all(|byte| Some(byte) == first) {
        return 0;
    }
    serial.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholder_has_no_fingerprint() {
        for placeholder in ["", "  ", "0", "00000000", "None", "Default string"] {
            assert_eq!(fingerprint(placeholder), 0, "{placeholder:?}");
        }
        assert_ne!(fingerprint("CZ1234"), 0);
        assert_eq!(fingerprint("cz1234 "), fingerprint("CZ1234"));
        assert_ne!(fingerprint("CZ1234"), fingerprint("CZ1235"));
    }
}
