//! The golden cases: a tiny BERT and adapters whose weights are closed formulas,
//! with the outputs that the real `adapters` library computes from them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use hub_client::{backbones::HeadInputs, model::Batch};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

/// Fixtures folder of this crate.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The golden file.
#[derive(Debug)]
pub struct Golden {
    cases: Value,
}

/// Shapes by tensor name.
type Shapes = BTreeMap<String, Vec<usize>>;

impl Golden {
    /// Reads the golden file.
    #[expect(clippy::expect_used, reason = "a test without its fixture must fail")]
    pub fn read() -> Self {
        let bytes =
            fs::read(fixtures().join("golden/adapters-tiny-bert.json")).expect("the golden file is there");
        Self { cases: serde_json::from_slice(&bytes).expect("the golden file is JSON") }
    }

    /// One case.
    pub fn case(&self, name: &str) -> &Value {
        &self.cases[name]
    }

    /// Writes the tiny BERT as a Hugging Face folder in double precision.
    pub fn write_base(&self, dir: &Path) {
        let config = &self.cases["_meta"]["bert_config"];
        let mut config = config.clone();
        config["model_type"] = json!("bert");
        config["hidden_act"] = json!("gelu");
        config["layer_norm_eps"] = json!(1e-12);
        config["architectures"] = json!(["BertModel"]);
        write(&dir.join("config.json"), config.to_string().as_bytes());
        let shapes = base_shapes();
        let order: Vec<_> = texts(&self.cases["_meta"]["base_tensor_order"]);
        assert_eq!(order, shapes.keys().cloned().collect::<Vec<_>>(), "the golden base's tensors");
        let tensors = shapes.into_iter().enumerate().map(|(j, (name, shape))| {
            let mut values = closed_form(&shape, j, 0.2, 0.0);
            if name.ends_with("LayerNorm.weight") {
                for value in &mut values {
                    *value = 1.0 + 0.5 * *value;
                }
            }
            (name, shape, values)
        });
        write_tensors(&dir.join("model.safetensors"), tensors.collect());
    }

    /// Writes one adapter of a case as `adapters` saves it; `off` is the formula's phase.
    pub fn write_adapter(&self, case: &str, name: &str, off: f64, dir: &Path) {
        let config = match &self.cases[case]["setup"] {
            // The one field that the library does not save and that decides.
            Value::Object(setup) if setup.get("architecture") == Some(&json!("reft")) => {
                let mut setup = setup.clone();
                setup.insert("subtract_projection".to_owned(), json!(case == "noreft"));
                Value::Object(setup)
            }
            setup @ Value::Object(_) => setup.clone(),
            _ if case.contains("lora") => self.cases["lora"]["setup"].clone(),
            _ => self.cases["seq_bn"]["setup"].clone(),
        };
        let outer = json!({
            "config": config, "hidden_size": 16, "model_class": "BertModel", "model_name": "tiny", "model_type": "bert",
            "name": name, "version": "adapters.1.1.1",
        });
        write(&dir.join("adapter_config.json"), outer.to_string().as_bytes());
        let mine = |key: &str| key.contains(&format!(".{name}.")) || key.ends_with(&format!(".{name}"));
        let shapes: Shapes = self.keys(case).into_iter().filter(|(key, _)| mine(key)).collect();
        let tensors = shapes.into_iter().enumerate().map(|(j, (key, shape))| {
            let mut values = closed_form(&shape, j, 0.3, off);
            if key.contains("adapter_norm") && key.ends_with("weight") {
                for value in &mut values {
                    *value = 1.0 + 0.5 * *value;
                }
            }
            if key.ends_with("scaling") {
                for value in &mut values {
                    *value += 1.0;
                }
            }
            (key, shape, values)
        });
        write_tensors(&dir.join("adapter.safetensors"), tensors.collect());
    }

    /// Writes the fusion of a case as `adapters` saves it.
    pub fn write_fusion(&self, case: &str, dir: &Path) {
        let dynamic = self.cases[case]["setup"] == "dynamic";
        let config = json!({
            "dropout_prob": null, "key": true, "query": true, "query_before_ln": false, "regularization": dynamic,
            "residual_before": false, "temperature": false, "value": dynamic, "value_before_softmax": true,
            "value_initialized": dynamic,
        });
        let outer = json!({
            "adapter_names": ["a", "b"], "config": config, "hidden_size": 16, "model_class": "BertModel",
            "model_name": "tiny", "model_type": "bert", "name": "a,b", "version": "adapters.1.1.1",
        });
        write(&dir.join("adapter_fusion_config.json"), outer.to_string().as_bytes());
        let shapes: Shapes = self.keys(case).into_iter().filter(|(key, _)| key.contains("fusion")).collect();
        let tensors = shapes.into_iter().enumerate();
        let tensors =
            tensors.map(|(j, (key, shape))| (key, shape.clone(), closed_form(&shape, j, 0.3, 13.0)));
        write_tensors(&dir.join("model_adapter_fusion.safetensors"), tensors.collect());
    }

    /// Writes the classification head of its case as `adapters` saves it.
    pub fn write_head(&self, dir: &Path) {
        let case = "classification_head_logits";
        let config = json!({
            "activation_function": "tanh", "bias": true, "dropout_prob": null, "head_type": "classification",
            "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}, "layers": 2, "num_labels": 3, "use_pooler": false,
        });
        let outer = json!({
            "config": config, "hidden_size": 16, "model_class": "BertAdapterModel", "model_name": "tiny",
            "model_type": "bert", "name": "h", "version": "adapters.1.1.1",
        });
        write(&dir.join("head_config.json"), outer.to_string().as_bytes());
        let off = self.cases[case]["fill_off"].as_f64().unwrap_or_default();
        let tensors = self.keys(case).into_iter().enumerate();
        let tensors = tensors.map(|(j, (key, shape))| (key, shape.clone(), closed_form(&shape, j, 0.3, off)));
        write_tensors(&dir.join("model_head.safetensors"), tensors.collect());
    }

    /// The input of every case.
    pub fn batch(&self) -> candle_core::Result<Batch> {
        let ids = |key: &str| {
            let rows = self.cases["_meta"][key].as_array().into_iter().flatten();
            let rows: Vec<Vec<u32>> = rows
                .map(|r| {
                    r.as_array().into_iter().flatten().filter_map(Value::as_u64).map(|v| v as u32).collect()
                })
                .collect();
            let width = rows.first().map_or(0, Vec::len);
            Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu)
        };
        Ok(Batch {
            input_ids: ids("input_ids")?,
            attention_mask: ids("attention_mask")?,
            is_unmasked: false,
            token_type_ids: None,
            head_inputs: HeadInputs::default(),
            signal: None,
            decoder: None,
            passed: None,
            image: None,
        })
    }

    /// What the library computed, row-major.
    pub fn expected(&self, case: &str) -> Vec<f64> {
        flatten(&self.cases[case]["out"])
    }

    fn keys(&self, case: &str) -> Shapes {
        let keys = self.cases[case]["keys"].as_array().into_iter().flatten();
        let shape = |pair: &Value| flatten(&pair[1]).into_iter().map(|n| n as usize).collect();
        keys.map(|pair| (pair[0].as_str().unwrap_or_default().to_owned(), shape(pair))).collect()
    }
}

/// The largest absolute difference between a tensor and expected values.
pub fn max_difference(found: &Tensor, expected: &[f64]) -> candle_core::Result<f64> {
    let found = found.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    assert_eq!(found.len(), expected.len(), "number of elements");
    Ok(found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
}

fn closed_form(shape: &[usize], j: usize, amplitude: f64, off: f64) -> Vec<f64> {
    let n = shape.iter().product::<usize>();
    (0..n).map(|i| amplitude * (0.37 * i as f64 + 1.3 * j as f64 + off).sin()).collect()
}

fn base_shapes() -> Shapes {
    let (h, i) = (16, 32);
    let mut shapes = Shapes::new();
    let mut add = |name: String, shape: &[usize]| shapes.insert(name, shape.to_vec());
    add("embeddings.word_embeddings.weight".into(), &[20, h]);
    add("embeddings.position_embeddings.weight".into(), &[16, h]);
    add("embeddings.token_type_embeddings.weight".into(), &[2, h]);
    let mut modules = vec![("pooler.dense".to_owned(), h, h)];
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..2 {
        let at = format!("encoder.layer.{layer}");
        for part in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            modules.push((format!("{at}.{part}"), h, h));
        }
        modules.push((format!("{at}.intermediate.dense"), i, h));
        modules.push((format!("{at}.output.dense"), h, i));
        norms.extend(["attention.output", "output"].map(|part| format!("{at}.{part}.LayerNorm")));
    }
    for (module, out, inputs) in modules {
        add(format!("{module}.weight"), &[out, inputs]);
        add(format!("{module}.bias"), &[out]);
    }
    for norm in norms {
        add(format!("{norm}.weight"), &[h]);
        add(format!("{norm}.bias"), &[h]);
    }
    shapes
}

#[expect(clippy::expect_used, reason = "a test without its folder must fail")]
fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("creates the folder");
    fs::write(path, bytes).expect("writes the file");
}

#[expect(clippy::expect_used, reason = "a test without its tensors must fail")]
fn write_tensors(path: &Path, tensors: Vec<(String, Vec<usize>, Vec<f64>)>) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = (tensors.into_iter())
        .map(|(name, shape, values)| (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(name, shape, data)| {
        (name.as_str(), TensorView::new(Dtype::F64, shape.clone(), data).expect("a tensor of its size"))
    });
    write(path, &safetensors::serialize(views, None).expect("serialises"));
}

fn flatten(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flatten).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(ToOwned::to_owned)).collect()
}
