//! An adapter's folder, whichever library wrote it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use hub_schemas::{
    Digest, Manifest,
    backbone::{Architecture, BackboneShape},
    head::Head,
    layout::{
        self, ADAPTER_CONFIG, ADAPTERS_WEIGHTS, FUSION_CONFIG, Format, HEAD_CONFIG, HUB_CONFIG, HeadTask,
        ModelClass, PEFT_WEIGHTS, Place, Subject, WeightsFile,
    },
    manifest::{BaseModel, MANIFEST_FILE, MAX_MANIFEST_BYTES, MediaType},
    method::{DeftConfig, GraloraConfig, HiraConfig, Method, MissConfig, RandLoraConfig, VbLoraConfig},
};
use serde_json::{Map, Value};

use super::{
    CheckpointError, SlotData, TensorFile,
    adapters::{interface::INTERFACE, orthogonal},
    adapters_config, composition, heads, hub, peft,
    weights::stored_name,
    whole_model::{self, Beside},
};
use crate::architectures::View;

/// Largest configuration file that is read.
pub(super) const MAX_JSON_BYTES: u64 = 4 << 20;

/// An adapter's folder whose configuration was read; weights are read later.
#[derive(Debug, Clone)]
pub struct AdapterFolder {
    /// Where it lies.
    pub path: PathBuf,
    /// Whose layout it has.
    pub format: Format,
    /// The adapter method.
    pub method: Method,
    /// The head it brings.
    pub head: Option<Head>,
    /// Names of the head's outputs, in order.
    pub labels: Vec<String>,
    /// The adapter's name inside tensor names (`adapters` format).
    pub name: String,
    /// The `transformers` class that the head is part of, where it is no flexible head
    /// (`adapters` format).
    pub head_class: Option<ModelClass>,
    /// Major and minor version of the `adapters` library that wrote it.
    pub(super) library: Option<(u64, u64)>,
    /// Whether the library drops segments.
    pub(super) drops_segments: bool,
    /// Whether `adapters` saved it from a class with flexible heads.
    is_flexible: bool,
    /// What PEFT says that the wrapped model is for.
    pub(super) task: Option<HeadTask>,
    /// Whether tensor names start at a model with a head.
    pub prefixed: bool,
    /// The manifest, when there is one.
    pub manifest: Option<Manifest>,
    /// The backbone's name as the Python library noted it.
    pub base_hint: Option<String>,
    /// The architecture the configuration was made for.
    pub architecture: Architecture,
}

/// The backbone that a folder is read for.
pub(super) type KnownBase<'a> = (Architecture, &'a BackboneShape);

/// What a configuration file says, before the manifest is compared.
pub(super) struct Parsed {
    pub(super) format: Format,
    pub(super) method: Method,
    pub(super) head: Option<Head>,
    pub(super) labels: Vec<String>,
    pub(super) name: String,
    pub(super) head_class: Option<ModelClass>,
    pub(super) library: Option<(u64, u64)>,
    pub(super) drops_segments: bool,
    pub(super) is_flexible: bool,
    pub(super) task: Option<HeadTask>,
    pub(super) prefixed: bool,
    pub(super) base_hint: Option<String>,
    pub(super) architecture: Architecture,
}

impl AdapterFolder {
    /// Opens a folder that PEFT, `adapters` or `hub` wrote. Our own format goes first.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let folder = Self::open_unhashed(dir)?;
        if let Some(manifest) = &folder.manifest {
            folder.check_integrity(manifest)?;
        }
        Ok(folder)
    }

    /// The same for whoever hands the files on to somebody who compares them with the manifest's digests, and
    /// computes nothing from them.
    pub fn open_unhashed(dir: &Path) -> Result<Self, CheckpointError> {
        if !dir.is_dir() {
            return Err(CheckpointError::NoFolder(dir.to_owned()));
        }
        let manifest = read_manifest(dir)?;
        let parsed = match &manifest {
            Some(stated @ Manifest { method: Method::Composition(config), .. }) => {
                composition::parse(dir, stated.base.architecture, config)?
            }
            Some(stated) => parse_configuration(dir, Some((stated.base.architecture, &stated.base.shape)))?,
            None => parse_configuration(dir, None)?,
        };
        let mut folder = Self::parsed(dir, parsed);
        if let Some(manifest) = manifest {
            // The files of `sentence-transformers` were not always read: of a manifest that states no head, that counts.
            let is_unread = folder.format == Format::Peft && !dir.join(HEAD_CONFIG).is_file();
            folder.head = folder
                .head
                .filter(|head| manifest.head.is_some() || !(is_unread && matches!(head, Head::Embedding(_))));
            if folder.may_be_for(&manifest.base) {
                folder.architecture = manifest.base.architecture;
            }
            folder.agree_with(&manifest)?;
            folder.check_meaning(&manifest)?;
            folder.labels.clone_from(&manifest.task.labels);
            // Both libraries drop what only training uses; the manifest keeps it.
            folder.method = manifest.method.clone();
            folder.head.clone_from(&manifest.head);
            folder.manifest = Some(manifest);
        }
        Ok(folder)
    }

    /// The same folder, read for this backbone. A file tells of the blocks that it adapts only: where a
    /// decoder stands behind an encoder, that leaves open how many blocks are in front of it.
    pub fn on_base(
        &self,
        architecture: Architecture,
        shape: &BackboneShape,
    ) -> Result<Self, CheckpointError> {
        // PEFT notes no architecture, and a file may be alike for several.
        if self.manifest.is_some() || !self.architecture.is_encoder_decoder() && self.format != Format::Peft {
            return Ok(self.clone());
        }
        Ok(Self::parsed(&self.path, parse_configuration(&self.path, Some((architecture, shape)))?))
    }

    /// The view of a checkpoint that it was made on. Its files tell where a manifest does not: only Whisper
    /// has more than one.
    pub fn view(&self) -> View {
        if let Some(manifest) = &self.manifest {
            return View::with_decoder(manifest.base.shape.decoder_layers);
        }
        if let Some(head) = &self.head {
            return if matches!(head, Head::Seq2SeqLm(_)) { View::Whole } else { View::Encoder };
        }
        let files =
            [PEFT_WEIGHTS, ADAPTERS_WEIGHTS].map(|name| self.path.join(stored_name(&self.path, name)));
        let Some(weights) = files.iter().find_map(|path| TensorFile::open_renamed(path).ok()) else {
            return View::Encoder;
        };
        let (_, variant) = peft::told_by(Architecture::Whisper, &weights);
        View::with_decoder(variant.decoder_from)
    }

    /// Whether `adapters` saved it from a class with flexible heads, which makes one of the head that the base model has.
    pub const fn is_flexible(&self) -> bool {
        self.is_flexible
    }

    /// Whether `adapters` reached into the model through an interface that lies beside the adapter.
    pub fn is_plugged(&self) -> bool {
        self.path.join(INTERFACE).is_file()
    }

    /// What PEFT says that the wrapped model is for.
    pub const fn wrapped_task(&self) -> Option<HeadTask> {
        self.task
    }

    /// The model class whose own language model's head it leaves as it is: where it brings no head, that which
    /// PEFT noted, and otherwise that of its architecture.
    pub fn wrapped_class(&self) -> Option<ModelClass> {
        let task = match self.format {
            _ if self.head.is_some() => None,
            Format::Peft => self.task,
            _ if self.architecture.is_decoder() => Some(HeadTask::CausalLm),
            _ if self.architecture.is_encoder_decoder() => Some(HeadTask::Seq2SeqLm),
            _ => None,
        };
        task.map(|task| ModelClass::new(self.architecture, task)).filter(|class| class.writes())
    }

    /// Whether nothing in PEFT's files speaks against this backbone's architecture: they do not
    /// state one, and several have the same names.
    fn may_be_for(&self, base: &BaseModel) -> bool {
        let names_none =
            |part: &Method| part.slots(&base.shape).iter().all(|slot| slot.place == Place::Shared);
        self.format == Format::Peft
            && (base.architecture.shares_modules(self.architecture, self.prefixed)
                || self.method.parts().iter().all(names_none))
    }

    pub(super) fn parsed(dir: &Path, parsed: Parsed) -> Self {
        Self {
            path: dir.to_owned(),
            format: parsed.format,
            method: parsed.method,
            head: parsed.head,
            labels: parsed.labels,
            name: parsed.name,
            head_class: parsed.head_class,
            library: parsed.library,
            drops_segments: parsed.drops_segments,
            is_flexible: parsed.is_flexible,
            task: parsed.task,
            prefixed: parsed.prefixed,
            base_hint: parsed.base_hint,
            architecture: parsed.architecture,
            manifest: None,
        }
    }

    /// The weights files this adapter must have on a backbone of this shape, by the
    /// names they have here.
    pub fn layout(&self, shape: &BackboneShape) -> Result<Vec<WeightsFile>, CheckpointError> {
        self.method.validate(shape)?;
        let subject = Subject {
            architecture: self.architecture,
            shape,
            method: &self.method,
            head: self.head.as_ref(),
            name: &self.name,
            prefixed: self.prefixed,
        };
        let mut files = match (self.head_class, &self.head) {
            (Some(class), Some(head)) => layout::weights_files_in_class(&subject, class, head)?,
            _ => layout::weights_files(self.format, &subject)?,
        };
        for file in &mut files {
            file.path = stored_name(&self.path, file.path);
        }
        Ok(files)
    }

    /// Reads every tensor into its slot, refusing files that miss one, have one
    /// too many, or have one of another shape. A head's file with the whole model is one for
    /// [`read_slots_on`](Self::read_slots_on).
    pub fn read_slots(&self, shape: &BackboneShape) -> Result<BTreeMap<String, SlotData>, CheckpointError> {
        self.read_slots_beside(shape, whole_model::refuse)
    }

    /// The same, with what there is to say about a file with more of the model than its head.
    pub(super) fn read_slots_beside(
        &self,
        shape: &BackboneShape,
        judge: impl Fn(&TensorFile, &Beside) -> Result<(), CheckpointError>,
    ) -> Result<BTreeMap<String, SlotData>, CheckpointError> {
        let mut slots = BTreeMap::new();
        for layout in self.layout(shape)? {
            let mut file = TensorFile::open_renamed(&self.path.join(layout.path))?;
            let beside = self.take_beside(&mut file, &layout);
            // What begins with no name of the backbone's, `adapters` takes for the head: other adapters' prefixes too.
            if self.head_class.is_some() && layout.path != stored_name(&self.path, ADAPTERS_WEIGHTS) {
                let known = |name: &str| layout.tensors.iter().any(|spec| spec.disk == name);
                let is_other = |name: &str| name.starts_with("prefix_tuning.prefix_tunings.") && !known(name);
                file.header.tensors.retain(|name, _| !is_other(name));
            }
            layout
                .check(&file.header)
                .map_err(|source| CheckpointError::Misfit { folder: self.path.clone(), source })?;
            judge(&file, &beside)?;
            slots.extend(file.read_slots(&layout)?);
        }
        orthogonal::materialise(&mut slots);
        Ok(slots)
    }

    /// What identifies it: the digest of its manifest, or of its first weights file where it
    /// has none.
    pub fn identity(&self, shape: &BackboneShape) -> Result<Digest, CheckpointError> {
        if let Some(manifest) = &self.manifest {
            let path = self.path.join(MANIFEST_FILE);
            return manifest.digest().map_err(|source| CheckpointError::Manifest { path, source });
        }
        match self.layout(shape)?.first() {
            Some(file) => Ok(super::assemble::size_and_digest(&self.path.join(file.path))?.1),
            None => Err(CheckpointError::NotAnAdapter(self.path.clone())),
        }
    }

    /// Whether both compute the same from the same tensors: their configurations are
    /// equal up to what only matters in training.
    pub fn computes_like(&self, other: &Self) -> bool {
        same_in_inference(&self.method, &other.method)
    }

    fn agree_with(&self, manifest: &Manifest) -> Result<(), CheckpointError> {
        let file = match (self.format, &self.method) {
            (Format::Hub, _) => HUB_CONFIG,
            (Format::Adapters, Method::LastLayer) => HEAD_CONFIG,
            (Format::Adapters, Method::Composition(_)) => FUSION_CONFIG,
            _ => ADAPTER_CONFIG,
        };
        let disagree = |what, manifest: String, found: String| {
            Err(CheckpointError::Disagreement { folder: self.path.clone(), file, what, manifest, found })
        };
        if manifest.format != self.format {
            return disagree("format", manifest.format.to_string(), self.format.to_string());
        }
        if manifest.base.architecture != self.architecture {
            let stated = manifest.base.architecture.to_string();
            return disagree("architecture", stated, self.architecture.to_string());
        }
        if !same_in_inference(&manifest.method, &self.method) {
            let shown = |m: &Method| serde_json::to_string(m).unwrap_or_else(|_| m.summary());
            return disagree("method", shown(&manifest.method), shown(&self.method));
        }
        let same_head = match (&manifest.head, &self.head) {
            (Some(a), Some(b)) => heads::same_in_inference(self.format, a, b),
            (a, b) => a == b,
        };
        if !same_head {
            let shown = |h: Option<&Head>| h.map_or_else(|| "none".into(), |h| format!("{h:?}"));
            return disagree("head", shown(manifest.head.as_ref()), shown(self.head.as_ref()));
        }
        Ok(())
    }
}

impl AdapterFolder {
    /// Refuses weights that mean something else than what this version computes.
    fn check_meaning(&self, manifest: &Manifest) -> Result<(), CheckpointError> {
        let refuse = |flag: &str, value: String| {
            Err(CheckpointError::Semantics { folder: self.path.clone(), flag: flag.to_owned(), value })
        };
        match manifest.semantics.extra.iter().next() {
            None => Ok(()),
            Some((flag, value)) => refuse(flag, value.to_string()),
        }
    }

    /// Compares weights and configuration with the digests that the manifest lists:
    /// a flipped bit in a weight would otherwise be a silent wrong number.
    fn check_integrity(&self, manifest: &Manifest) -> Result<(), CheckpointError> {
        let matters = |kind| matches!(kind, MediaType::Safetensors | MediaType::Json);
        for file in manifest.files.iter().filter(|f| matters(f.media_type)) {
            let path = self.path.join(file.path.as_str());
            let (_, found) = super::assemble::size_and_digest(&path)?;
            if found != file.digest {
                return Err(CheckpointError::Damaged { path, expected: file.digest, found });
            }
        }
        Ok(())
    }
}

/// Equal up to what only matters when weights are initialised or trained.
fn same_in_inference(a: &Method, b: &Method) -> bool {
    match (a, b) {
        (Method::Bottleneck(a), Method::Bottleneck(b)) => {
            let mut a = a.clone();
            a.dropout = b.dropout;
            a.stochastic_depth = b.stochastic_depth;
            a.init_weights = b.init_weights;
            a == *b
        }
        (Method::Lora(a), Method::Lora(b)) => {
            let mut a = a.clone();
            a.lora_dropout = b.lora_dropout;
            a.init = b.init;
            a == *b
        }
        (Method::AdaLora(a), Method::AdaLora(b)) => {
            let mut a = a.clone();
            (a.lora_dropout, a.target_r) = (b.lora_dropout, b.target_r);
            a == *b
        }
        (Method::Vera(a), Method::Vera(b)) => {
            let mut a = a.clone();
            (a.dropout, a.d_initial, a.b_initial) = (b.dropout, b.d_initial, b.b_initial);
            a == *b
        }
        (Method::Delora(a), Method::Delora(b)) => {
            let mut a = a.clone();
            (a.dropout, a.delora_lambda) = (b.dropout, b.delora_lambda);
            a == *b
        }
        (Method::Gralora(a), Method::Gralora(b)) => GraloraConfig { dropout: b.dropout, ..a.clone() } == *b,
        (Method::Hira(a), Method::Hira(b)) => HiraConfig { dropout: b.dropout, ..a.clone() } == *b,
        (Method::Miss(a), Method::Miss(b)) => MissConfig { dropout: b.dropout, ..a.clone() } == *b,
        (Method::RandLora(a), Method::RandLora(b)) => {
            RandLoraConfig { dropout: b.dropout, ..a.clone() } == *b
        }
        (Method::VbLora(a), Method::VbLora(b)) => VbLoraConfig { dropout: b.dropout, ..a.clone() } == *b,
        (Method::Deft(a), Method::Deft(b)) => DeftConfig { dropout: b.dropout, ..a.clone() } == *b,
        (Method::Prefix(a), Method::Prefix(b)) => {
            let mut a = a.clone();
            a.dropout = b.dropout;
            a == *b
        }
        (Method::Prompt(a), Method::Prompt(b)) => {
            let mut a = a.clone();
            a.init_range = b.init_range;
            a == *b
        }
        (Method::Reft(a), Method::Reft(b)) => {
            let mut a = a.clone();
            a.dropout = b.dropout;
            a == *b
        }
        (Method::Replace(a), Method::Replace(b)) => a.tensors == b.tensors,
        (Method::Union(a), Method::Union(b)) => {
            a.parts.len() == b.parts.len()
                && a.parts.iter().zip(&b.parts).all(|(a, b)| same_in_inference(a, b))
        }
        _ => a == b,
    }
}

fn read_manifest(dir: &Path) -> Result<Option<Manifest>, CheckpointError> {
    let path = dir.join(MANIFEST_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_bounded(&path, MAX_MANIFEST_BYTES as u64)?;
    Manifest::parse_relaxed(&bytes).map(Some).map_err(|source| CheckpointError::Manifest { path, source })
}

/// `base` is the backbone, where it is known.
fn parse_configuration(dir: &Path, base: Option<KnownBase<'_>>) -> Result<Parsed, CheckpointError> {
    if dir.join(HUB_CONFIG).is_file() {
        return hub::parse(dir);
    }
    let config_path = dir.join(ADAPTER_CONFIG);
    if config_path.is_file() {
        let json = read_json(&config_path)?;
        if json.contains_key("peft_type") {
            let mut parsed = peft::parse(dir, &config_path, json, base)?;
            if parsed.head.is_none() {
                parsed.head = heads::beside_peft(dir)?;
            }
            return Ok(parsed);
        }
        return adapters_config::parse(dir, &config_path, json, base);
    }
    if dir.join(HEAD_CONFIG).is_file() {
        return heads::parse_head_only(dir);
    }
    Err(CheckpointError::NotAnAdapter(dir.to_owned()))
}

/// Reads a file of at most `max` bytes.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, CheckpointError> {
    let file = File::open(path).map_err(CheckpointError::read(path))?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(CheckpointError::read(path))?;
    if bytes.len() as u64 > max {
        return Err(CheckpointError::TooLarge { path: path.to_owned(), bytes: bytes.len() as u64, max });
    }
    Ok(bytes)
}

/// Reads a JSON object.
pub(super) fn read_json(path: &Path) -> Result<Map<String, Value>, CheckpointError> {
    let bytes = read_bounded(path, MAX_JSON_BYTES)?;
    serde_json::from_slice(&bytes)
        .map_err(|e| CheckpointError::Json { path: path.to_owned(), reason: e.to_string() })
}
