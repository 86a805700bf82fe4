//! From text to the words that full-text search knows.
//!
//! Both what is indexed and what is asked go through [`split`], so no character
//! with a meaning in a database's query language ever reaches it.

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

/// The words of a query.
pub fn query(text: &str) -> Vec<String> {
    split(text).take(MAX_QUERY_WORDS).collect()
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
}
