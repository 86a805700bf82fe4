//! What is left of a method where changes of the table of words change nothing: PEFT wraps a module behind an encoder that
//! neither stack reads through.

use super::{HiraConfig, LoraConfig, Method, ReplaceConfig, UnionConfig};
use crate::backbone::{Module, Table, Targets};

const WORDS: Module = Module::Embedding(Table::Word);

/// Whether encoder, decoder and output layer are tied to the table of words (`tie_word_embeddings`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// They are: PEFT wraps all of them for trained tokens, which count everywhere.
    Tied,
    /// They only share its numbers.
    Apart,
}

/// The method without what changes nothing at the table of words; `None` where nothing is left.
pub fn without_words(method: &Method, tie: Tie) -> Option<Method> {
    let others = |targets: &Targets| {
        let left: Targets = targets.iter().filter(|&module| module != WORDS).collect();
        (!left.is_empty()).then_some(left)
    };
    match method {
        Method::Lora(config) => {
            Some(Method::Lora(LoraConfig { targets: others(&config.targets)?, ..config.clone() }))
        }
        Method::Hira(config) => {
            Some(Method::Hira(HiraConfig { targets: others(&config.targets)?, ..config.clone() }))
        }
        Method::Replace(config) => {
            let mut tensors = config.tensors.clone();
            tensors.retain(|tensor| tensor.parse() != Ok(WORDS));
            let left = ReplaceConfig { tensors, ..config.clone() };
            (!left.tensors.is_empty()).then_some(Method::Replace(left))
        }
        Method::Tokens(config) if config.table == WORDS && tie == Tie::Apart => None,
        Method::Union(union) => {
            let parts: Vec<Method> = union.parts.iter().filter_map(|part| without_words(part, tie)).collect();
            (!parts.is_empty()).then_some(Method::Union(UnionConfig { parts }))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::TokensConfig;

    #[test]
    fn only_the_table_of_words_is_left_out() {
        let table: Targets = [WORDS].into_iter().collect();
        let both: Targets = [WORDS, Module::Pooler].into_iter().collect();
        let lora = |targets: &Targets| Method::Lora(LoraConfig::on(2, 2.0, targets.clone()));
        let without = |method: &Method| without_words(method, Tie::Tied);
        assert_eq!(without(&lora(&table)), None);
        assert_eq!(without(&lora(&both)), Some(lora(&[Module::Pooler].into_iter().collect())));
        let tensors = ["embeddings.word", "pooler.bias"].map(ToOwned::to_owned).into();
        let copies = Method::Replace(ReplaceConfig::modules(tensors));
        let union = Method::Union(UnionConfig { parts: vec![lora(&table), copies] });
        let left = without(&union).map(|left| left.parts().len());
        assert_eq!(left, Some(1));
    }

    #[test]
    fn trained_tokens_count_where_all_tables_are_tied() {
        let tokens =
            |table| Method::Tokens(TokensConfig { table, tokens: vec![3], beside: false, repeated: false });
        let (shared, own) = (tokens(WORDS), tokens(Module::Embedding(Table::EncoderWord)));
        assert_eq!(without_words(&shared, Tie::Tied), Some(shared.clone()));
        assert_eq!(without_words(&shared, Tie::Apart), None);
        assert_eq!(without_words(&own, Tie::Apart), Some(own));
    }
}
