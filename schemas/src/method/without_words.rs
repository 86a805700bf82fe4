//! What is left of a method where changes of the table of words change nothing: PEFT wraps a module behind an encoder that
//! neither stack reads through.

use super::{HiraConfig, LoraConfig, Method, ReplaceConfig, UnionConfig};
use crate::backbone::{Module, Table, Targets};

const WORDS: Module = Module::Embedding(Table::Word);

/// The method without what it has at the table of words; `None` where nothing is left.
pub fn without_words(method: &Method) -> Option<Method> {
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
        Method::Union(union) => {
            let parts: Vec<Method> = union.parts.iter().filter_map(without_words).collect();
            (!parts.is_empty()).then_some(Method::Union(UnionConfig { parts }))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_of_words_is_left_out() {
        let table: Targets = [WORDS].into_iter().collect();
        let both: Targets = [WORDS, Module::Pooler].into_iter().collect();
        let lora = |targets: &Targets| Method::Lora(LoraConfig::on(2, 2.0, targets.clone()));
        assert_eq!(without_words(&lora(&table)), None);
        assert_eq!(without_words(&lora(&both)), Some(lora(&[Module::Pooler].into_iter().collect())));
        let tensors = ["embeddings.word", "pooler.bias"].map(ToOwned::to_owned).into();
        let copies = Method::Replace(ReplaceConfig::modules(tensors));
        let union = Method::Union(UnionConfig { parts: vec![lora(&table), copies] });
        let left = without_words(&union).map(|left| left.parts().len());
        assert_eq!(left, Some(1));
    }
}
