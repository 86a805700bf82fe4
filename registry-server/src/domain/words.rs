//! From text to the words that full-text search knows.
//!
//! Both what is indexed and what is asked go through [`split`], so no character
//! with a meaning in a database's query language ever reaches it.

use std::collections::BTreeSet;

/// Words of a query beyond this number are ignored.
const MAX_QUERY_WORDS: usize = 16;
/// Longer words are cut, in characters.
const MAX_WORD_LEN: usize = 64;

/// The words of `text`: runs of letters and digits, in lower case.
pub fn split(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(MAX_WORD_LEN).flat_map(char::to_lowercase).collect())
        // Lower-casing may itself bring marks that are no letters.
        .map(|word: String| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
        .filter(|word| !word.is_empty())
}

/// The words of `texts`, separated by spaces, as they are indexed.
pub fn document<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().flat_map(split).collect::<Vec<_>>().join(" ")
}

/// The words of `texts` in the order of their bytes, each behind a space.
pub fn in_order<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let words: BTreeSet<String> = texts.into_iter().flat_map(split).collect();
    words.iter().fold(String::new(), |all, word| all + " " + word)
}

/// The words of a query.
pub fn query(text: &str) -> Vec<String> {
    split(text).take(MAX_QUERY_WORDS).collect()
}

/// A pattern of LIKE for [`in_order`]: every one of `words` begins one of the words there. Those that
/// begin with a word stand before all that begin with a later one, unless it begins the later one.
pub fn pattern(words: &[String]) -> String {
    let words: BTreeSet<&str> = words.iter().map(String::as_str).collect();
    let later = words.iter().skip(1).copied().map(Some).chain([None]);
    let needed = words.iter().zip(later).filter(|(word, later)| later.is_none_or(|w| !w.starts_with(**word)));
    needed.fold(String::new(), |all, (word, _)| all + "% " + word) + "%"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_prose_become_plain_words() {
        let text = document(["sentence-transformers/all-MiniLM-L6-v2", "Größe \"OR\" NEAR(x) 'drop*"]);
        assert_eq!(text, "sentence transformers all minilm l6 v2 größe or near x drop");
        assert_eq!(query("!!! -- *"), Vec::<String>::new());
    }

    #[test]
    fn a_pattern_names_words_in_the_order_in_which_they_stand() {
        assert_eq!(in_order(["zeta alpha", "alphabet Zeta-2", "émile"]), " 2 alpha alphabet zeta émile");
        assert_eq!(pattern(&query("zeta alpha")), "% alpha% zeta%");
        assert_eq!(pattern(&query("émile zeta 2")), "% 2% zeta% émile%");
        assert_eq!(pattern(&query("a al alphabet be b b")), "% alphabet% be%");
    }
}
