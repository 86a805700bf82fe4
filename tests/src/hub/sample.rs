//! Small adapters with real safetensors, for a BERT of two layers.

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    digest::Digest,
    head::{ClassificationHead, Head},
    layout::{self, Format, HubConfig, Subject},
    manifest::{BaseModel, FileEntry, MANIFEST_VERSION, Manifest, MediaType, Metric, Semantics, Task},
    method::{BottleneckConfig, LoraConfig, Method, ReplaceConfig},
    path::FilePath,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};

/// The dimensions of the samples' base model.
pub const TINY_BERT: BackboneShape = BackboneShape {
    hidden_size: 16,
    num_layers: 2,
    num_heads: 2,
    intermediate_size: 32,
    vocab_size: 100,
    max_positions: 64,
    token_types: 2,
    ..BackboneShape::EMPTY
};

/// A base model with the dimensions of [`TINY_BERT`] and weights of its own.
pub fn tiny_base(id: &str) -> BaseModel {
    BaseModel {
        id: id.to_owned(),
        revision: None,
        architecture: Architecture::Bert,
        shape: TINY_BERT,
        weights_digest: Digest::of(id.as_bytes()),
        extra: Map::new(),
    }
}

/// A manifest and the files it lists.
#[derive(Debug, Clone)]
pub struct SampleAdapter {
    /// The manifest. Its file list follows [`files`](Self::files) as long as they change
    /// through [`with_file`](Self::with_file).
    pub manifest: Manifest,
    /// Path and content of every file.
    pub files: Vec<(String, Vec<u8>)>,
}

impl SampleAdapter {
    /// A LoRA in PEFT's layout, for task `sentiment`.
    pub fn lora(name: &str, version: &str) -> Self {
        let method = Method::Lora(LoraConfig::query_value(4, 8.0, 2));
        let head = Head::Classification(ClassificationHead::pooled(2));
        let config = json!({
            "peft_type": "LORA", "task_type": "SEQ_CLS", "r": 4, "lora_alpha": 8, "lora_dropout": 0.0,
            "target_modules": ["query", "value"], "modules_to_save": ["classifier"], "bias": "none",
            "base_model_name_or_path": "tiny-bert", "inference_mode": true,
        });
        Self::build(name, version, Format::Peft, method, head).with_json(layout::ADAPTER_CONFIG, &config)
    }

    /// A Pfeiffer bottleneck in the layout of `adapters`, for task `sentiment`.
    pub fn bottleneck(name: &str, version: &str) -> Self {
        let config = BottleneckConfig::pfeiffer(4.0);
        let adapter = json!({
            "name": "sample", "model_type": "bert", "model_name": "tiny-bert", "model_class": "BertAdapterModel",
            "hidden_size": TINY_BERT.hidden_size, "config": {
                "architecture": null, "mh_adapter": false, "output_adapter": true, "reduction_factor": 4.0,
                "non_linearity": "relu", "original_ln_before": true, "original_ln_after": true,
                "ln_before": false, "ln_after": false, "residual_before_ln": true,
                "adapter_residual_before_ln": false, "init_weights": "bert", "scaling": 1.0,
                "use_gating": false, "dropout": 0.0, "is_parallel": false, "leave_out": [],
            },
        });
        let head = json!({
            "name": "sample", "model_type": "bert", "model_name": "tiny-bert", "model_class": "BertAdapterModel",
            "hidden_size": TINY_BERT.hidden_size, "num_labels": 2, "config": {
                "head_type": "classification", "num_labels": 2, "layers": 2, "activation_function": "tanh",
                "label2id": {"negative": 0, "positive": 1}, "use_pooler": false, "bias": true,
            },
        });
        let flexible = Head::Classification(ClassificationHead::flexible(2));
        Self::build(name, version, Format::Adapters, Method::Bottleneck(config), flexible)
            .with_json(layout::ADAPTER_CONFIG, &adapter)
            .with_json(layout::HEAD_CONFIG, &head)
    }

    /// Trained biases in our own format, for task `sentiment`.
    pub fn biases(name: &str, version: &str) -> Self {
        let method = Method::Replace(ReplaceConfig::bitfit(Architecture::Bert, &TINY_BERT, true));
        let head = Head::Classification(ClassificationHead::pooled(2));
        let sample = Self::build(name, version, Format::Hub, method, head);
        let manifest = &sample.manifest;
        let config = HubConfig {
            format_version: layout::HUB_FORMAT_VERSION,
            architecture: Architecture::Bert,
            base_model: "tiny-bert".to_owned(),
            method: manifest.method.clone(),
            head: manifest.head.clone(),
            labels: manifest.task.labels.clone(),
        };
        sample.with_json(layout::HUB_CONFIG, &serde_json::to_value(config).expect("JSON"))
    }

    fn build(name: &str, version: &str, format: Format, method: Method, head: Head) -> Self {
        let manifest = Manifest {
            manifest_version: MANIFEST_VERSION.to_owned(),
            name: name.parse().expect("a full name"),
            version: version.parse().expect("a version"),
            description: "Sentiment of movie reviews.".to_owned(),
            license: "Apache-2.0".parse().expect("a licence"),
            task: Task {
                name: "sentiment".parse().expect("a task"),
                subtask: None,
                labels: vec!["negative".to_owned(), "positive".to_owned()],
                extra: Map::new(),
            },
            languages: vec!["en".parse().expect("a language")],
            base: tiny_base("tiny-bert"),
            method,
            head: Some(head),
            format,
            semantics: Semantics::default(),
            dependencies: Vec::new(),
            training: None,
            origin: None,
            metrics: Vec::new(),
            files: Vec::new(),
            extra: Map::new(),
        };
        Self { manifest, files: Vec::new() }.with_weights().with_file("README.md", b"# A sample\n")
    }

    /// Writes the weights files that the manifest implies.
    #[must_use]
    pub fn with_weights(mut self) -> Self {
        let manifest = &self.manifest;
        let subject = Subject {
            architecture: manifest.base.architecture,
            shape: &manifest.base.shape,
            method: &manifest.method,
            head: manifest.head.as_ref(),
            name: "sample",
            prefixed: true,
        };
        for file in layout::weights_files(manifest.format, &subject).expect("expressible") {
            let tensors: Vec<_> = file.tensors.into_iter().map(|t| (t.disk, t.shape)).collect();
            self = self.with_file(file.path, &safetensors_bytes(&tensors));
        }
        self
    }

    /// Changes the manifest's fields other than its files.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// States a metric.
    #[must_use]
    pub fn with_metric(self, name: &str, value: f64) -> Self {
        let metric = Metric {
            name: name.to_owned(),
            value,
            dataset: "reviews".to_owned(),
            split: "test".to_owned(),
            dataset_digest: None,
            extra: Map::new(),
        };
        self.with(|m| m.metrics = vec![metric])
    }

    /// Adds or replaces a file and its entry.
    #[must_use]
    pub fn with_file(mut self, path: &str, bytes: &[u8]) -> Self {
        self = self.without_file(path);
        let parsed: FilePath = path.parse().expect("a good path");
        let media_type = MediaType::of(&parsed).expect("an accepted kind");
        self.manifest.files.push(FileEntry {
            path: parsed,
            size: bytes.len() as u64,
            digest: Digest::of(bytes),
            media_type,
            extra: Map::new(),
        });
        self.files.push((path.to_owned(), bytes.to_vec()));
        self
    }

    /// Adds or replaces a JSON file and its entry.
    #[must_use]
    pub fn with_json(self, path: &str, value: &Value) -> Self {
        self.with_file(path, value.to_string().as_bytes())
    }

    /// Removes a file and its entry.
    #[must_use]
    pub fn without_file(mut self, path: &str) -> Self {
        self.manifest.files.retain(|f| f.path.as_str() != path);
        self.files.retain(|(p, _)| p != path);
        self
    }

    /// The content of a file.
    pub fn file(&self, path: &str) -> &[u8] {
        let found = self.files.iter().find(|(p, _)| p == path);
        &found.unwrap_or_else(|| panic!("the sample has no {path}")).1
    }

    /// The canonical manifest.
    pub fn manifest_bytes(&self) -> Vec<u8> {
        self.manifest.to_canonical_bytes().expect("canonical")
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest_bytes())
    }
}

/// A safetensors file with small, fixed numbers.
pub fn safetensors_bytes(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| {
            let len = shape.iter().product::<usize>();
            (0..len).flat_map(|i| ((i % 13) as f32 * 0.01 - 0.06).to_le_bytes()).collect()
        })
        .collect();
    let views = tensors.iter().zip(&data).map(|((name, shape), data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).expect("a view"))
    });
    safetensors::serialize(views, None).expect("serialises")
}
