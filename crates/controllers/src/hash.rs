//! Short names for contents, such as `pod-template-hash`.

use serde::Serialize;

/// What Kubernetes writes such names with: no vowels, so that no words arise.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A name for `value` in up to ten letters. `collisions` is how often another content had the name.
///
/// # Errors
/// When the value cannot be written as JSON.
pub(crate) fn short_name(value: &impl Serialize, collisions: i32) -> Result<String, serde_json::Error> {
    let mut bytes = serde_json::to_vec(value)?;
    if collisions > 0 {
        bytes.extend(collisions.to_le_bytes());
    }
    let digits = fnv1a(&bytes).to_string();
    Ok(digits
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect())
}

/// The 32-bit hash of Fowler, Noll and Vo, variant 1a.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_published_examples() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn names_differ_by_content_and_by_collision() {
        let name = |value, collisions| short_name(&value, collisions).unwrap();
        assert_eq!(name("a", 0), name("a", 0));
        assert_ne!(name("a", 0), name("b", 0));
        assert_ne!(name("a", 0), name("a", 1));
        assert!(name("a", 0).len() <= 10);
    }
}
