//! What the names of an interface mean for adapters, by the modules of the architecture.

use hub_schemas::{
    backbone::{Architecture, LinearSite, Module, SubLayer, Table},
    method::{Hooked, HookedAt, HookedNorm, HookedResidual},
};

use super::{Interface, normalises_in_front};
use crate::checkpoint::CheckpointError;

/// The block whose modules are compared: in ModernBERT the first one lacks a norm.
const PROBE: usize = 1;

/// What reads an attention's input, and what a feed-forward network's: each where there is one.
const ATTENTION_FIRST: [LinearSite; 4] =
    [LinearSite::Query, LinearSite::Key, LinearSite::Value, LinearSite::QueryKeyValue];
const FFN_FIRST: [LinearSite; 3] = [LinearSite::FfnUp, LinearSite::FfnGate, LinearSite::FfnGateUp];

impl Interface {
    /// Where `path` in a block leads to.
    fn module(&self, path: &str) -> Option<Module> {
        let full = format!("{}.{path}", self.architecture.block_path(PROBE, self.variant));
        let mut modules = self.architecture.modules(PROBE + 1, self.variant).into_iter();
        modules.find(|&module| self.architecture.module_path(module, self.variant) == full)
    }

    fn site(&self, path: &str) -> Option<LinearSite> {
        match self.module(path) {
            Some(Module::Linear { site, .. }) => Some(site),
            _ => None,
        }
    }

    fn in_attention(&self, path: &str) -> Option<LinearSite> {
        self.site(&format!("{}.{path}", self.names.layer_self_attn))
    }

    pub(super) fn ffn_sites(&self) -> Result<[LinearSite; 2], CheckpointError> {
        let site = |field: &str, path: &str| {
            let is_ffn = |site: &LinearSite| {
                use LinearSite::{FfnDown, FfnGate, FfnGateUp, FfnUp};
                matches!(site, FfnUp | FfnDown | FfnGate | FfnGateUp)
            };
            let reason = "is no projection of this backbone's feed-forward networks";
            self.site(path).filter(is_ffn).ok_or_else(|| self.wrong(field, path, reason))
        };
        Ok([
            site("layer_intermediate_proj", &self.names.layer_intermediate_proj)?,
            site("layer_output_proj", &self.names.layer_output_proj)?,
        ])
    }

    pub(super) fn check_attention(&self) -> Result<(), CheckpointError> {
        let expected = [
            ("attn_q_proj", LinearSite::Query),
            ("attn_k_proj", LinearSite::Key),
            ("attn_v_proj", LinearSite::Value),
            ("attn_qkv_proj", LinearSite::QueryKeyValue),
        ];
        for (path, (field, site)) in self.names.attn_proj.iter().zip(expected) {
            if let Some(path) = path.as_ref().filter(|path| self.in_attention(path) != Some(site)) {
                return Err(self.wrong(
                    field,
                    path,
                    &format!("is not the projection `{site}` of this backbone"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn check_embeddings(&self) -> Result<(), CheckpointError> {
        let (found, table) = (&self.names.model_embeddings, Module::Embedding(Table::Word));
        let has = |module| self.architecture.has(module);
        // Where something follows the table, the module that holds both.
        let is_alone = !has(Module::EmbeddingNorm) && !has(Module::Embedding(Table::Position));
        let is_table = has(table) && *found == self.architecture.module_path(table, self.variant);
        if is_table && is_alone || found == "embeddings" && !is_table {
            return Ok(());
        }
        Err(self.wrong("model_embeddings", found, "does not give what the first block reads"))
    }

    pub(super) fn hooked(&self) -> Result<Option<Hooked>, CheckpointError> {
        let names = &self.names;
        if let Some(path) = names.attn_o_proj.as_ref()
            && self.in_attention(path) != Some(LinearSite::AttentionOutput)
        {
            return Err(self.wrong("attn_o_proj", path, "is not the attention's last projection"));
        }
        if self.site(&names.layer_output_proj) != Some(LinearSite::FfnDown) {
            let reason = "is not the feed-forward network's last projection";
            return Err(self.wrong("layer_output_proj", &names.layer_output_proj, reason));
        }
        let at = |sublayer, pre: (&str, &Option<String>), norm: (&str, &Option<String>)| {
            Ok::<_, CheckpointError>(HookedAt {
                residual: self.residual(sublayer, pre)?,
                norm: self.norm(norm)?,
            })
        };
        let hooked = Hooked {
            attention: at(
                SubLayer::Attention,
                ("layer_pre_self_attn", &names.layer_pre_self_attn),
                ("layer_ln_1", &names.layer_ln_1),
            )?,
            ffn: at(
                SubLayer::Ffn,
                ("layer_pre_ffn", &names.layer_pre_ffn),
                ("layer_ln_2", &names.layer_ln_2),
            )?,
        };
        Ok((!self.is_behind_sublayers(hooked)).then_some(hooked))
    }

    /// Whether that is what stands behind the sub-layers: where the projection's output is added as it is.
    fn is_behind_sublayers(&self, hooked: Hooked) -> bool {
        use Architecture::{Gemma, Llama, Mistral, Qwen2, Qwen3};
        let plain = HookedAt::plain(HookedResidual::Carried);
        matches!(self.architecture, Llama | Mistral | Qwen2 | Qwen3 | Gemma)
            && hooked == Hooked { attention: plain, ffn: plain }
    }

    /// What the input of the module at `path` is to the sub-layer.
    fn residual(
        &self,
        sublayer: SubLayer,
        (field, path): (&str, &Option<String>),
    ) -> Result<HookedResidual, CheckpointError> {
        let Some(path) = path else { return Ok(HookedResidual::Nothing) };
        let in_front = normalises_in_front(self.architecture);
        if in_front && self.module(path) == Some(Module::Norm { layer: PROBE, sublayer }) {
            return Ok(HookedResidual::Carried);
        }
        let (first, last) = match sublayer {
            SubLayer::Ffn => (FFN_FIRST.as_slice(), LinearSite::FfnDown),
            _ => (ATTENTION_FIRST.as_slice(), LinearSite::AttentionOutput),
        };
        let path_of =
            |site| self.architecture.module_path(Module::Linear { layer: PROBE, site }, self.variant);
        let own = format!("{}.{path}", self.architecture.block_path(PROBE, self.variant));
        let holds = |site: LinearSite| {
            let inner = path_of(site);
            inner == own || inner.starts_with(&format!("{own}."))
        };
        let has = |&&site: &&LinearSite| self.architecture.has(Module::Linear { layer: PROBE, site });
        if first.iter().filter(has).any(|&site| holds(site)) && path_of(last) != own {
            return Ok(if in_front { HookedResidual::Input } else { HookedResidual::Carried });
        }
        Err(self.wrong(field, path, "reads neither what the sub-layer reads nor what goes around it"))
    }

    fn norm(&self, (field, path): (&str, &Option<String>)) -> Result<Option<HookedNorm>, CheckpointError> {
        let Some(path) = path else { return Ok(None) };
        let module = self.module(path);
        match HookedNorm::ALL.into_iter().find(|norm| Some(norm.module(PROBE)) == module) {
            Some(norm) => Ok(Some(norm)),
            None => Err(self.wrong(field, path, "is no norm of this backbone's blocks")),
        }
    }
}
