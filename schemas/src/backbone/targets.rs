//! Which modules an adapter changes.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{BackboneShape, LinearSite, Module, ParseModuleError};

/// A set of modules. Written as names with ranges of layers: `layers.0-5.query`, `pooler`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Targets(BTreeSet<Module>);

/// Largest layer that a range may name: far beyond any backbone.
const MAX_LAYER: usize = 1 << 10;

impl Targets {
    /// These linear layers in every block.
    pub fn everywhere(sites: &[LinearSite], num_layers: usize) -> Self {
        Self::in_layers(sites, 0..num_layers)
    }

    /// These linear layers in some blocks.
    pub fn in_layers(sites: &[LinearSite], layers: impl IntoIterator<Item = usize>) -> Self {
        layers
            .into_iter()
            .flat_map(|layer| sites.iter().map(move |&site| Module::Linear { layer, site }))
            .collect()
    }

    /// Those that stand in these blocks.
    #[must_use]
    pub fn among(&self, layers: &BTreeSet<usize>) -> Self {
        self.iter().filter(|module| module.layer().is_some_and(|layer| layers.contains(&layer))).collect()
    }

    /// The modules, ordered.
    pub fn iter(&self) -> impl Iterator<Item = Module> {
        self.0.iter().copied()
    }

    /// Whether a module is among them.
    pub fn contains(&self, module: Module) -> bool {
        self.0.contains(&module)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first module that the backbone does not have.
    pub fn beyond(&self, shape: &BackboneShape) -> Option<Module> {
        self.iter().find(|m| m.layer().is_some_and(|layer| layer >= shape.num_layers))
    }

    /// The kinds of modules, for people: `query,value`.
    pub fn kinds(&self) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for kind in self.iter().map(Module::kind) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join(",")
    }
}

impl FromIterator<Module> for Targets {
    fn from_iter<I: IntoIterator<Item = Module>>(modules: I) -> Self {
        Self(modules.into_iter().collect())
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Vec::<String>::from(self.clone()).join(", "))
    }
}

impl From<Targets> for Vec<String> {
    /// Neighbouring layers of one kind become a range.
    fn from(targets: Targets) -> Self {
        let mut names = Self::new();
        let mut kinds: Vec<Module> = Vec::new();
        for module in targets.iter() {
            match module.layer() {
                None => names.push(module.to_string()),
                Some(_) if !kinds.contains(&module.at_layer(0)) => kinds.push(module.at_layer(0)),
                Some(_) => {}
            }
        }
        for kind in kinds {
            let layers: Vec<usize> =
                targets.iter().filter(|m| m.at_layer(0) == kind).filter_map(Module::layer).collect();
            for run in layers.chunk_by(|a, b| a + 1 == *b) {
                let range = match run {
                    [one] => one.to_string(),
                    _ => format!("{}-{}", run[0], run[run.len() - 1]),
                };
                names.push(format!("layers.{range}.{}", kind.kind()));
            }
        }
        names
    }
}

impl TryFrom<Vec<String>> for Targets {
    type Error = ParseModuleError;
    fn try_from(names: Vec<String>) -> Result<Self, ParseModuleError> {
        let mut modules = BTreeSet::new();
        for name in &names {
            modules.extend(range(name)?);
        }
        Ok(Self(modules))
    }
}

fn range(name: &str) -> Result<Vec<Module>, ParseModuleError> {
    let wrong = || ParseModuleError(name.to_owned());
    let spread = name.strip_prefix("layers.").and_then(|rest| rest.split_once('.'));
    let Some(((first, last), kind)) = spread.and_then(|(range, kind)| Some((range.split_once('-')?, kind)))
    else {
        return Module::from_str(name).map(|module| vec![module]);
    };
    let (first, last): (usize, usize) =
        (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first > last || last > MAX_LAYER {
        return Err(wrong());
    }
    let module: Module = format!("layers.0.{kind}").parse().map_err(|_| wrong())?;
    Ok((first..=last).map(|layer| module.at_layer(layer)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_layers_are_written_as_a_range() {
        let mut targets = Targets::in_layers(&[LinearSite::Query], [0, 1, 2, 5]);
        targets.0.insert(Module::Pooler);
        let names = Vec::<String>::from(targets.clone());
        assert_eq!(names, ["pooler", "layers.0-2.query", "layers.5.query"]);
        assert_eq!(Targets::try_from(names), Ok(targets));
    }

    #[test]
    fn a_range_that_can_not_be_is_refused() {
        for name in ["layers.3-1.query", "layers.0-99999999.query", "layers.0-1.nothing", "layers.-.query"] {
            assert!(Targets::try_from(vec![name.to_owned()]).is_err(), "{name}");
        }
    }
}
