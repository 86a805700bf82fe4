//! The model card: `README.md` with Hugging Face front matter.

use std::fmt::Write as _;

use hub_schemas::{
    Manifest,
    head::Head,
    layout::{Format, HeadTask, ModelClass},
    manifest::Origin,
};

/// The page people read: what it is, how well it does, how to use it, how it was made. `class` is the model class
/// whose own head it is for, where it brings none.
pub fn model_card(manifest: &Manifest, class: Option<ModelClass>) -> String {
    let mut card = front_matter(manifest, class);
    // Writing to a String can't fail.
    let _ = write!(card, "\n# {}\n\n{}\n", manifest.name, manifest.description.trim());
    usage(&mut card, manifest, class);
    results(&mut card, manifest);
    details(&mut card, manifest);
    card
}

/// A YAML scalar that no text can break out of.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn front_matter(manifest: &Manifest, class: Option<ModelClass>) -> String {
    let base = &manifest.base.id;
    let library = match manifest.format {
        Format::Peft => "peft",
        Format::Adapters => "adapters",
        Format::Hub => "adapter-hub",
    };
    let mut yaml = format!("---\nlicense: {}\n", quoted(&manifest.license.as_str().to_ascii_lowercase()));
    if !manifest.languages.is_empty() {
        yaml.push_str("language:\n");
        for language in &manifest.languages {
            let _ = writeln!(yaml, "- {language}");
        }
    }
    let _ =
        writeln!(yaml, "library_name: {library}\nbase_model: {}\nbase_model_relation: adapter", quoted(base));
    if let Some(pipeline) = pipeline(manifest, class) {
        let _ = writeln!(yaml, "pipeline_tag: {pipeline}");
    }
    yaml.push_str("tags:\n");
    let mut tags =
        vec![library.to_owned(), manifest.base.architecture.to_string(), manifest.method.kind().to_owned()];
    tags.push(manifest.task.name.to_string());
    tags.extend(manifest.task.subtask.iter().map(ToString::to_string));
    tags.push(format!("base_model:adapter:{base}"));
    for tag in tags {
        let _ = writeln!(yaml, "- {}", quoted(&tag));
    }
    model_index(&mut yaml, manifest, class);
    yaml.push_str("---\n");
    yaml
}

/// Hugging Face's name of what a head is for.
fn pipeline(manifest: &Manifest, class: Option<ModelClass>) -> Option<&'static str> {
    let Some(head) = &manifest.head else {
        return match class?.task() {
            HeadTask::CausalLm => Some("text-generation"),
            HeadTask::Seq2SeqLm => Some(if manifest.base.architecture.reads_audio() {
                "automatic-speech-recognition"
            } else {
                "text2text-generation"
            }),
            _ => None,
        };
    };
    Some(match head {
        Head::Classification(_) if manifest.base.architecture.reads_images() => "image-classification",
        Head::Classification(_) if manifest.base.architecture.reads_audio() => "audio-classification",
        Head::Classification(_) | Head::MultiLabelClassification(_) | Head::Regression(_) => {
            "text-classification"
        }
        Head::Tagging(_) | Head::DependencyParsing(_) => "token-classification",
        Head::MultipleChoice(_) => "multiple-choice",
        Head::QuestionAnswering(_) => "question-answering",
        Head::MaskedLm(_) => "fill-mask",
        Head::CausalLm(_) => "text-generation",
        Head::Seq2SeqLm(_) => "text2text-generation",
        Head::Embedding(_) => "feature-extraction",
    })
}

fn model_index(yaml: &mut String, manifest: &Manifest, class: Option<ModelClass>) {
    if manifest.metrics.is_empty() {
        return;
    }
    let _ = writeln!(yaml, "model-index:\n- name: {}\n  results:", quoted(&manifest.name.to_string()));
    for metric in &manifest.metrics {
        let _ = writeln!(
            yaml,
            "  - task: {{type: {task}}}\n    dataset: {{name: {data}, type: {data}, split: {split}}}\n    metrics: [{{type: {name}, value: {value}}}]",
            task = pipeline(manifest, class).unwrap_or("text-classification"),
            data = quoted(&metric.dataset),
            split = quoted(&metric.split),
            name = quoted(&metric.name),
            value = metric.value,
        );
    }
}

fn usage(card: &mut String, manifest: &Manifest, class: Option<ModelClass>) {
    let id = &manifest.name;
    let input = manifest.base.architecture.example_input();
    let _ = write!(card, "\n## Use it\n\n```console\n$ hub pull {id}\n$ hub run {id} {input}\n```\n");
    let python = match manifest.format {
        Format::Peft => {
            let (class, labels) = wrapped_class(manifest, class);
            format!(
                "from peft import PeftModel\nfrom transformers import {class}\n\nmodel = {class}.from_pretrained({base}{labels})\nmodel = PeftModel.from_pretrained(model, \"path/to/this/folder\")",
                base = quoted(&manifest.base.id),
            )
        }
        Format::Adapters => format!(
            "from adapters import AutoAdapterModel\n\nmodel = AutoAdapterModel.from_pretrained({base})\nname = model.load_adapter(\"path/to/this/folder\", use_safetensors=True)\nmodel.set_active_adapters(name)",
            base = quoted(&manifest.base.id),
        ),
        Format::Hub => {
            let _ = write!(
                card,
                "\nNeither PEFT nor `adapters` has this method: the files are in a format of Adapter Hub's own.\n"
            );
            return;
        }
    };
    let _ = write!(card, "\nIn Python:\n\n```python\n{python}\n```\n");
}

/// The `transformers` class that PEFT wraps, and how many labels it has.
fn wrapped_class(manifest: &Manifest, class: Option<ModelClass>) -> (String, String) {
    let head = manifest.head.as_ref();
    match head.and_then(|head| Some((head, ModelClass::with_head(manifest.base.architecture, head)?))) {
        Some((head, class)) => (class.to_string(), format!(", num_labels={}", head.num_labels())),
        None => (class.map_or_else(|| "AutoModel".to_owned(), |class| class.to_string()), String::new()),
    }
}

fn results(card: &mut String, manifest: &Manifest) {
    if manifest.metrics.is_empty() {
        return;
    }
    card.push_str("\n## Results\n\n| metric | value | data | split |\n|---|---|---|---|\n");
    for metric in &manifest.metrics {
        let _ = writeln!(
            card,
            "| {} | {:.4} | {} | {} |",
            metric.name, metric.value, metric.dataset, metric.split
        );
    }
}

fn made_of(card: &mut String, origin: &Origin) {
    let _ = writeln!(card, "| made by | {} of {} {} |", origin.how, origin.tool, origin.tool_version);
    for (name, value) in &origin.options {
        let _ = writeln!(card, "| {name} | {value} |");
    }
    for source in &origin.sources {
        let weight = source.weight.map(|weight| format!(", weight {weight}")).unwrap_or_default();
        let _ = writeln!(card, "| made of | {} (`{}`{weight}) |", source.name, source.digest);
    }
}

fn details(card: &mut String, manifest: &Manifest) {
    let base = &manifest.base;
    let _ = write!(
        card,
        "\n## Details\n\n| | |\n|---|---|\n| base model | `{}` ({}, hidden size {}, {} layers) |\n| base weights | `{}` |\n| method | {} |\n| labels | {} |\n",
        base.id,
        base.architecture,
        base.shape.hidden_size,
        base.shape.num_layers,
        base.weights_digest,
        manifest.method.summary(),
        manifest.task.labels.join(", "),
    );
    if let Some(origin) = &manifest.origin {
        made_of(card, origin);
    }
    let Some(recipe) = &manifest.training else { return };
    let _ = writeln!(
        card,
        "| trained with | {} {} |\n| seed | {} |",
        recipe.tool, recipe.tool_version, recipe.seed
    );
    for source in &recipe.data {
        let _ = writeln!(
            card,
            "| {} data | {} ({} rows, `{}`) |",
            source.split, source.name, source.rows, source.digest
        );
    }
    for (name, value) in &recipe.hyper_parameters {
        let _ = writeln!(card, "| {name} | {value} |");
    }
}
