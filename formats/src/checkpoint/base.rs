//! A backbone's folder: `config.json`, weights, tokenizer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hub_schemas::{
    Digest, DigestHasher,
    backbone::ClassifierShape,
    layout::{HeadTask, ModelClass, TensorInfo},
    manifest::BaseModel,
};
use serde_json::{Map, Value};

use super::{
    CheckpointError, TensorFile, base_head, folder::read_json, gguf, gguf::gguf_at, weights::is_pickled,
};
use crate::architectures::{BackboneTensor, LAYER_WEIGHTS, TransformerConfig, View};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What `save_pretrained` wrote before: read without unpickling, where there is nothing else.
const PICKLED_SINGLE: &str = "pytorch_model.bin";
const PICKLED_INDEX: &str = "pytorch_model.bin.index.json";
const MAX_SHARDS: usize = 1024;

/// A tensor as the digest of a backbone's weights takes it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPart<'a> {
    /// What is hashed in front of its bytes.
    pub label: String,
    /// The index of its file.
    pub file: usize,
    /// Its place there.
    pub info: &'a TensorInfo,
}

/// A backbone's folder whose configuration and weight headers were read and checked.
#[derive(Debug)]
pub struct BaseFolder {
    path: PathBuf,
    config: TransformerConfig,
    json: Map<String, Value>,
    files: Vec<TensorFile>,
    /// Canonical name to (file, name in it).
    places: BTreeMap<String, (usize, String)>,
    prefix: String,
}

impl BaseFolder {
    /// Opens a folder in Hugging Face layout, or a GGUF file, and checks that every tensor is there. Of a checkpoint
    /// whose encoder is a backbone of its own, that is opened.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        Self::open_as(dir, View::Encoder)
    }

    /// Opens encoder and decoder, or all there is.
    pub fn open_whole(dir: &Path) -> Result<Self, CheckpointError> {
        Self::open_as(dir, View::Whole)
    }

    /// Opens what is meant of a checkpoint.
    pub fn open_as(dir: &Path, view: View) -> Result<Self, CheckpointError> {
        if let Some(file) = gguf_at(dir) {
            return Self::open_gguf(&file);
        }
        if !dir.is_dir() {
            return Err(CheckpointError::NoFolder(dir.to_owned()));
        }
        let config_path = dir.join("config.json");
        if !config_path.is_file() {
            return Err(CheckpointError::NotABackbone { folder: dir.to_owned(), missing: "config.json" });
        }
        let json = read_json(&config_path)?;
        let config = TransformerConfig::of(&json, view)
            .map_err(|source| CheckpointError::Config { path: config_path, source })?;
        let files = open_weights(dir)?;
        let prefix = find_prefix(&config, &files);
        let places = place(&config, &files, &prefix, dir)?;
        let mut opened = Self { path: dir.to_owned(), config, json, files, places, prefix };
        opened.config.shape.classifier = opened.classifier();
        Ok(opened)
    }

    /// The widths of the classifier that the checkpoint brings.
    fn classifier(&self) -> Option<ClassifierShape> {
        let own = base_head(self)?;
        let layers = own.head.classifier_layers()?;
        let dims = |layer: usize| {
            let (_, name) = own.names.iter().find(|(slot, _)| *slot == format!("head.{layer}.weight"))?;
            let &[outputs, inputs] = self.extra_tensor(name)?.1.shape.as_slice() else { return None };
            Some((inputs, outputs))
        };
        let ((inputs, hidden), (_, outputs)) = (dims(0)?, dims(layers - 1)?);
        Some(ClassifierShape { inputs, hidden: (layers > 1).then_some(hidden), outputs })
    }

    /// A GGUF file says of itself what a folder would say.
    fn open_gguf(path: &Path) -> Result<Self, CheckpointError> {
        let opened =
            gguf::open(path).map_err(|source| CheckpointError::Gguf { path: path.to_owned(), source })?;
        let config = TransformerConfig::from_json(&opened.config)
            .map_err(|source| CheckpointError::Config { path: path.to_owned(), source })?;
        let files = vec![TensorFile::of_gguf(path, opened.header, opened.stored)];
        let prefix = find_prefix(&config, &files);
        let places = place(&config, &files, &prefix, path)?;
        Ok(Self { path: path.to_owned(), config, json: opened.config, files, places, prefix })
    }

    /// Whether the weights are quantised: in a GGUF file.
    pub fn is_quantised(&self) -> bool {
        self.path.is_file()
    }

    /// The folder, or the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `config.json` says, or would say.
    pub fn json(&self) -> &Map<String, Value> {
        &self.json
    }

    /// What the generic transformer needs to know besides the weights.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// The weight files.
    pub fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// Which view of the checkpoint it is, where there is more than one.
    pub fn view(&self) -> View {
        View::with_decoder(self.config.shape.decoder_layers)
    }

    /// Where the tensor with this canonical name lies: the index of its file, and its place there.
    pub fn tensor(&self, canonical: &str) -> Option<(usize, &TensorInfo)> {
        let (file, name) = self.places.get(canonical)?;
        Some((*file, self.files[*file].header.tensors.get(name)?))
    }

    /// A tensor outside the backbone, such as a classifier that the checkpoint brings.
    pub fn extra_tensor(&self, name: &str) -> Option<(usize, &TensorInfo)> {
        self.files.iter().enumerate().find_map(|(i, file)| Some((i, file.header.tensors.get(name)?)))
    }

    /// The canonical names of those tensors of a model class that are the backbone's, by what they are called there.
    pub(super) fn canonical_names(&self, tensors: &BTreeMap<String, TensorInfo>) -> BTreeMap<String, String> {
        let prefix = prefix_of(&self.config, |name| tensors.contains_key(name));
        let named = |tensor: BackboneTensor| {
            let prefix = if is_outside(&self.config, &tensor) { "" } else { &*prefix };
            let names = tensor.names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>();
            names.into_iter().map(move |name| (name, tensor.canonical.clone()))
        };
        self.config.tensors().into_iter().flat_map(named).collect()
    }

    /// The class with a head that the checkpoint was saved from, as `config.json` states it;
    /// a sequence classifier where it states nothing.
    pub fn model_class(&self) -> Option<ModelClass> {
        match self.json.get("architectures").and_then(Value::as_array) {
            None => Some(ModelClass::new(self.config.architecture, HeadTask::SequenceClassification)),
            Some(classes) => classes.iter().filter_map(Value::as_str).find_map(|class| class.parse().ok()),
        }
    }

    /// What `config.json` says the checkpoint's sequence classifier was trained for.
    pub fn problem_type(&self) -> Option<&str> {
        self.json.get("problem_type")?.as_str()
    }

    /// Whether the checkpoint has a pooler.
    pub fn has_pooler(&self) -> bool {
        self.tensor("pooler.weight").is_some() && self.tensor("pooler.bias").is_some()
    }

    /// Whether a language model's output table is the word embedding.
    pub fn ties_embeddings(&self) -> bool {
        self.json
            .get("tie_word_embeddings")
            .and_then(Value::as_bool)
            .unwrap_or_else(|| self.config.architecture.ties_embeddings())
    }

    /// Names of the checkpoint's own classes, in order, when `config.json` states them.
    pub fn labels(&self) -> Option<Vec<String>> {
        let map = self.json.get("id2label")?.as_object()?;
        (0..map.len()).map(|i| Some(map.get(&i.to_string())?.as_str()?.to_owned())).collect()
    }

    /// `bert.` or nothing: what stands in front of the backbone's tensor names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The usual name of this backbone, as far as the folder tells: what
    /// `config.json` was loaded from, the folder name of a Hugging Face cache, or
    /// the folder's own name.
    pub fn guessed_id(&self) -> String {
        let from_cache = self.path.ancestors().find_map(|folder| {
            let name = folder.file_name()?.to_str()?.strip_prefix("models--")?;
            Some(name.replacen("--", "/", 1))
        });
        let from_config = || {
            let name = self.json.get("_name_or_path")?.as_str()?.trim_end_matches('/');
            (!name.is_empty() && !name.starts_with(['/', '.', '~'])).then(|| name.to_owned())
        };
        let from_folder = || {
            let folder = self.path.canonicalize().ok()?;
            let name = if self.is_quantised() { folder.file_stem() } else { folder.file_name() };
            Some(name?.to_string_lossy().into_owned())
        };
        from_cache.or_else(from_config).or_else(from_folder).unwrap_or_else(|| "backbone".to_owned())
    }

    /// The revision, where the folder is a snapshot in a Hugging Face cache.
    fn cached_revision(&self) -> Option<String> {
        let snapshots = self.path.parent()?;
        let is_snapshot = snapshots.file_name()? == "snapshots";
        let revision = self.path.file_name()?.to_str()?.to_owned();
        (is_snapshot && revision.len() == 40).then_some(revision)
    }

    /// Digest of the weights, independent of file container, sharding and key prefixes:
    /// SHA-256 over, for every tensor of the backbone in the order of its canonical
    /// name, `name NUL dtype NUL d0,d1,… NUL` and the tensor's bytes. Heads that the
    /// checkpoint brings do not count; the pooler does when it is there.
    pub fn weights_digest(&self) -> Result<Digest, CheckpointError> {
        let mut hasher = DigestHasher::default();
        for DigestPart { label, file, info } in self.digest_parts() {
            hasher.update(label.as_bytes());
            self.files[file].stream(info, |piece| hasher.update(piece))?;
        }
        Ok(hasher.finish())
    }

    /// What [`weights_digest`](Self::weights_digest) takes in, in its order: for whoever has the bytes of the
    /// weights somewhere else. Not for quantised weights, whose bytes are not what is hashed.
    pub fn digest_parts(&self) -> impl Iterator<Item = DigestPart<'_>> {
        self.places.iter().map(|(canonical, (file, name))| {
            let info = &self.files[*file].header.tensors[name];
            let dims: Vec<_> = info.shape.iter().map(ToString::to_string).collect();
            let label = format!("{canonical}\0{:?}\0{}\0", info.dtype, dims.join(","));
            DigestPart { label, file: *file, info }
        })
    }

    /// What a manifest states about this backbone.
    pub fn model(&self, id: Option<&str>) -> Result<BaseModel, CheckpointError> {
        Ok(self.model_with_digest(id, self.weights_digest()?))
    }

    /// Like [`model`](Self::model) with a digest that was computed before.
    pub fn model_with_digest(&self, id: Option<&str>, weights_digest: Digest) -> BaseModel {
        BaseModel {
            id: id.map_or_else(|| self.guessed_id(), ToOwned::to_owned),
            revision: self.cached_revision(),
            architecture: self.config.architecture,
            shape: self.config.shape,
            weights_digest,
            extra: Map::new(),
        }
    }
}

fn open_weights(dir: &Path) -> Result<Vec<TensorFile>, CheckpointError> {
    let there = |name: &&str| dir.join(name).is_file();
    match [SINGLE, INDEX, PICKLED_SINGLE, PICKLED_INDEX].into_iter().find(there) {
        None => Err(CheckpointError::NotABackbone { folder: dir.to_owned(), missing: SINGLE }),
        Some(index @ (INDEX | PICKLED_INDEX)) => open_shards(dir, &dir.join(index)),
        Some(single) => Ok(vec![TensorFile::open(&dir.join(single))?]),
    }
}

fn open_shards(dir: &Path, index: &Path) -> Result<Vec<TensorFile>, CheckpointError> {
    let json = read_json(index)?;
    let wrong = |reason: String| CheckpointError::Field {
        path: index.to_owned(),
        field: "weight_map".into(),
        reason,
    };
    let map = json.get("weight_map").and_then(Value::as_object).ok_or_else(|| wrong("is missing".into()))?;
    let mut shards: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    shards.sort_unstable();
    shards.dedup();
    if shards.is_empty() || shards.len() > MAX_SHARDS {
        return Err(wrong(format!("names {} files; 1 to {MAX_SHARDS} are read", shards.len())));
    }
    // A shard is a plain file beside the index, nothing else.
    if let Some(shard) = shards.iter().find(|s| s.contains(['/', '\\']) || s.starts_with('.')) {
        return Err(wrong(format!("names `{shard}`, which is not a file beside it")));
    }
    // An index of safetensors can't choose the laxer reader.
    let is_laxer = |shard: &&&str| !index.ends_with(PICKLED_INDEX) && is_pickled(Path::new(shard));
    if let Some(shard) = shards.iter().find(is_laxer) {
        return Err(wrong(format!("names `{shard}`, which is no safetensors file")));
    }
    shards.into_iter().map(|shard| TensorFile::open(&dir.join(shard))).collect()
}

/// A checkpoint saved from a model with a head has the architecture's prefix on every backbone tensor.
fn find_prefix(config: &TransformerConfig, files: &[TensorFile]) -> String {
    prefix_of(config, |name| files.iter().any(|file| file.header.tensors.contains_key(name)))
}

/// The same of what `holds` these tensors.
fn prefix_of(config: &TransformerConfig, holds: impl Fn(&str) -> bool) -> String {
    let prefix = config.architecture.model_prefix(config.shape.variant());
    let first = config.tensors().swap_remove(0).names;
    // An encoder beside a decoder stands in a model of the two.
    // Decoders that answer questions stand under another name than those that write.
    let candidates = [format!("{prefix}."), format!("model.{prefix}."), "transformer.".to_owned()];
    let is_in_front = |prefix: &String| first.iter().any(|name| holds(&format!("{prefix}{name}")));
    candidates.into_iter().find(is_in_front).unwrap_or_default()
}

/// Whether a tensor stands beside the backbone's module in a model with a head.
fn is_outside(config: &TransformerConfig, tensor: &BackboneTensor) -> bool {
    (config.architecture.pools_outside() && tensor.canonical.starts_with("pooler."))
        || tensor.canonical == LAYER_WEIGHTS
}

fn place(
    config: &TransformerConfig,
    files: &[TensorFile],
    prefix: &str,
    dir: &Path,
) -> Result<BTreeMap<String, (usize, String)>, CheckpointError> {
    let mut places = BTreeMap::new();
    for tensor in config.tensors() {
        let prefix = if is_outside(config, &tensor) { "" } else { prefix };
        let Some((file, name)) = find(&tensor, files, prefix) else {
            if tensor.optional {
                continue;
            }
            let reason =
                format!("it lacks the tensor `{prefix}{}` of shape {:?}", tensor.names[0], tensor.shape);
            return Err(CheckpointError::Backbone { path: dir.to_owned(), reason });
        };
        let info = &files[file].header.tensors[&name];
        if info.shape != tensor.shape || !info.is_float() {
            let reason = format!(
                "the tensor `{name}` is {:?} {:?}, expected floating-point {:?}",
                info.dtype, info.shape, tensor.shape
            );
            return Err(CheckpointError::Backbone { path: files[file].path().to_owned(), reason });
        }
        places.insert(tensor.canonical, (file, name));
    }
    Ok(places)
}

fn find(tensor: &BackboneTensor, files: &[TensorFile], prefix: &str) -> Option<(usize, String)> {
    tensor.names.iter().find_map(|name| {
        let name = format!("{prefix}{name}");
        let file = files.iter().position(|f| f.header.tensors.contains_key(&name))?;
        Some((file, name))
    })
}
