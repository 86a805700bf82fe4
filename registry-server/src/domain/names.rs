//! Which names nobody takes for themselves, and which look like another one's.
//!
//! The rules of looking alike are those that have caught squatters at package registries:
//! one slip of the keyboard, characters that are drawn alike, separators moved about
//! (Taylor, Vaidya, Davidson, De Carli and Rastogi, "Defending Against Package
//! Typosquatting", 2020, section 4).

use hub_schemas::name::Namespace;

/// Names that would speak for the registry, or for the command line.
const RESERVED: [&str; 20] = [
    "abuse",
    "adapter-hub",
    "admin",
    "administrator",
    "api",
    "hub",
    "hub-server",
    "internal",
    "local",
    "me",
    "official",
    "operator",
    "public",
    "registry",
    "root",
    "security",
    "support",
    "system",
    "test",
    "www",
];

/// Shorter names are near each other by chance.
const SHORTEST: usize = 4;

/// Whether the server itself keeps a name back.
pub fn is_reserved(name: &Namespace) -> bool {
    RESERVED.contains(&name.as_str())
}

/// Whether one of two different names could be taken for the other.
pub fn look_alike(a: &Namespace, b: &Namespace) -> bool {
    if a == b || a.as_str().len().min(b.as_str().len()) < SHORTEST {
        return false;
    }
    skeleton(a.as_str()) == skeleton(b.as_str()) || is_one_slip(a.as_str().as_bytes(), b.as_str().as_bytes())
}

/// A name as the eye takes it: without separators, lookalikes made equal.
fn skeleton(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let drawn = plain.replace("rn", "m").replace("vv", "w").replace("cl", "d");
    drawn
        .chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | 'i' => 'l',
            '5' => 's',
            c => c,
        })
        .collect()
}

/// One character more, less, or another, or two neighbours swapped (Damerau, 1964).
fn is_one_slip(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let start = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let (short, long) = (&short[start..], &long[start..]);
    match long.len() - short.len() {
        0 => {
            let replaced = short.get(1..) == long.get(1..);
            let swapped = short.len() > 1
                && short[0] == long[1]
                && short[1] == long[0]
                && short.get(2..) == long.get(2..);
            !long.is_empty() && (replaced || swapped)
        }
        1 => long.get(1..) == Some(short),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> bool {
        let parse = |text: &str| text.parse::<Namespace>().expect(text);
        assert_eq!(look_alike(&parse(a), &parse(b)), look_alike(&parse(b), &parse(a)), "{a} {b}");
        look_alike(&parse(a), &parse(b))
    }

    #[test]
    fn slips_and_lookalikes_are_found() {
        for other in
            ["googel", "gogle", "googles", "g00gle", "goog1e", "go-ogle", "boogle", "google1", "xgoogle"]
        {
            assert!(alike("google", other), "{other}");
        }
        assert!(alike("ukp-lab", "ukplab") && alike("ukp-lab", "ukp_lab") && alike("modern", "modem"));
    }

    #[test]
    fn other_names_are_left_alone() {
        for (a, b) in
            [("google", "google"), ("ada", "adb"), ("google", "apple"), ("google", "goo"), ("abcd", "badc")]
        {
            assert!(!alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_name_that_speaks_for_the_registry_is_reserved() {
        assert!(is_reserved(&"admin".parse().expect("a name")));
        assert!(!is_reserved(&"ada".parse().expect("a name")));
    }
}
