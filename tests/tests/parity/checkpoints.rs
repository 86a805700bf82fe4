//! Folders: what is written is read back, in both layouts, and what does not fit is refused.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use candle_core::{DType, Device};
use hub_client::{
    backbones::Backbone,
    model::{Mode, StitchedModel},
};
use hub_formats::checkpoint::{
    AdapterFolder, AdapterToWrite, BaseFolder, CheckpointError, SlotData, convert, write_adapter,
};
use hub_schemas::{
    backbone::{Architecture, LinearSite, Targets},
    head::{ClassificationHead, Head},
    layout::{Format, head_slots, method_slots, native_format},
    manifest::BaseModel,
    method::{
        BottleneckConfig, HadamardConfig, HadamardPosition, Hooked, HookedAt, HookedNorm, HookedResidual,
        LoraConfig, Method, ReplaceConfig,
    },
};
use hub_tests::golden::Golden;
use tempfile::TempDir;

pub(crate) struct Tiny {
    pub(crate) dir: TempDir,
    base: BaseModel,
}

pub(crate) fn tiny() -> Tiny {
    let dir = TempDir::new().expect("a folder");
    Golden::read().write_base(&dir.path().join("base"));
    let base = BaseFolder::open(&dir.path().join("base"))
        .and_then(|b| b.model(Some("tiny")))
        .expect("the base opens");
    Tiny { dir, base }
}

fn slots(method: &Method, head: &Head, base: &BaseModel) -> BTreeMap<String, SlotData> {
    let mut slots = method_slots(method, &base.shape);
    slots.extend(head_slots(head, base.shape.hidden_size));
    let fill = |slot: &hub_schemas::layout::Slot| {
        let values: Vec<f32> = (0..slot.len()).map(|i| (i as f32 * 0.3).sin() * 0.2).collect();
        (slot.name.clone(), SlotData::from_f32(slot.shape.clone(), &values))
    };
    slots.iter().map(fill).collect()
}

pub(crate) fn write(
    tiny: &Tiny,
    dir: &Path,
    format: Format,
    method: &Method,
    head: &Head,
) -> BTreeMap<String, SlotData> {
    let slots = slots(method, head, &tiny.base);
    let labels = ["no".to_owned(), "yes".to_owned()];
    let adapter = AdapterToWrite {
        format,
        method,
        head: Some(head),
        class: None,
        labels: &labels,
        name: "x",
        base: &tiny.base,
        slots: &slots,
    };
    write_adapter(dir, &adapter).expect("writes");
    slots
}

fn logits(tiny: &Tiny, adapter: &Path) -> Vec<f32> {
    let base = BaseFolder::open(&tiny.dir.path().join("base")).expect("opens");
    let backbone = Arc::new(Backbone::load_with(&base, DType::F32, &Device::Cpu).expect("loads"));
    let folder = AdapterFolder::open(adapter).expect("opens");
    let model = StitchedModel::load(backbone, &folder).expect("loads");
    let output = model.forward(&Golden::read().batch().expect("a batch"), Mode::Eval).expect("forward");
    output.logits().and_then(|l| l.flatten_all().ok()).and_then(|l| l.to_vec1().ok()).expect("logits")
}

#[test]
fn every_method_is_read_back_as_it_was_written() {
    let tiny = tiny();
    let flexible = Head::Classification(ClassificationHead::flexible(2));
    let pooled = Head::Classification(ClassificationHead::pooled(2));
    let every = LoraConfig::on(3, 6.0, Targets::everywhere(&Architecture::Bert.linear_sites(), 2));
    let one = Targets::in_layers(&[LinearSite::Query, LinearSite::Value], [1]);
    let one = LoraConfig { use_rslora: true, ..LoraConfig::on(2, 5.0, one) };
    let at = |residual, norm| HookedAt { residual, norm };
    let hooked = Hooked {
        attention: at(HookedResidual::Carried, Some(HookedNorm::Ffn)),
        ffn: at(HookedResidual::Nothing, None),
    };
    let hooked = BottleneckConfig { hooked: Some(hooked), ..BottleneckConfig::houlsby(4.0) };
    let cases = [
        (Method::Bottleneck(BottleneckConfig::pfeiffer(4.0)), &flexible),
        (
            Method::Bottleneck(BottleneckConfig { ln_before: true, ..BottleneckConfig::houlsby(8.0) }),
            &flexible,
        ),
        (Method::Bottleneck(hooked), &flexible),
        (Method::Lora(LoraConfig::query_value(2, 4.0, 2)), &pooled),
        (Method::Lora(every), &pooled),
        (Method::Lora(one), &pooled),
        (Method::LastLayer, &flexible),
        (Method::Replace(ReplaceConfig::layer_norm(Architecture::Bert, &tiny.base.shape)), &pooled),
        (Method::Replace(ReplaceConfig::bitfit(Architecture::Bert, &tiny.base.shape, true)), &flexible),
        (Method::Replace(ReplaceConfig::full(Architecture::Bert, &tiny.base.shape, true)), &pooled),
        (Method::Hadamard(HadamardConfig::standard()), &flexible),
        (
            Method::Hadamard(HadamardConfig {
                position: HadamardPosition::Context,
                norms: Vec::new(),
                layers: Some(vec![1]),
            }),
            &pooled,
        ),
    ];
    for (index, (method, head)) in cases.into_iter().enumerate() {
        let dir = tiny.dir.path().join(index.to_string());
        let slots = write(
            &tiny,
            &dir,
            native_format(&method, tiny.base.architecture, &tiny.base.shape),
            &method,
            head,
        );
        let folder = AdapterFolder::open(&dir).expect("opens");
        assert_eq!(folder.head.as_ref(), Some(head), "{}", method.summary());
        assert_eq!(folder.method, method);
        assert_eq!(folder.read_slots(&tiny.base.shape).expect("reads"), slots, "{}", method.summary());
    }
}

#[test]
fn a_backbones_digest_does_not_depend_on_prefix_sharding_or_heads() {
    let tiny = tiny();
    let plain = fs::read(tiny.dir.path().join("base/model.safetensors")).expect("reads");
    let tensors = safetensors::SafeTensors::deserialize(&plain).expect("parses");
    let other = tiny.dir.path().join("other");
    fs::create_dir(&other).expect("creates");
    fs::copy(tiny.dir.path().join("base/config.json"), other.join("config.json")).expect("copies");
    let mut shards: [Vec<(String, safetensors::tensor::TensorView<'_>)>; 2] = [Vec::new(), Vec::new()];
    let mut map = serde_json::Map::new();
    for (index, (name, view)) in tensors.tensors().into_iter().enumerate() {
        let name = format!("bert.{name}");
        map.insert(name.clone(), format!("model-{}.safetensors", index % 2).into());
        shards[index % 2].push((name, view));
    }
    let head = [0u8; 64];
    let head =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![16], &head).expect("a tensor");
    shards[0].push(("cls.predictions.transform.dense.bias".to_owned(), head));
    for (index, shard) in shards.into_iter().enumerate() {
        let bytes = safetensors::serialize(shard, None).expect("serialises");
        fs::write(other.join(format!("model-{index}.safetensors")), bytes).expect("writes");
    }
    let index = serde_json::json!({"weight_map": map});
    fs::write(other.join("model.safetensors.index.json"), index.to_string()).expect("writes");
    let digest = BaseFolder::open(&other).and_then(|b| b.weights_digest()).expect("opens");
    assert_eq!(digest, tiny.base.weights_digest);
}

#[test]
fn weights_of_half_the_width_compute_what_their_numbers_compute_in_single_precision() {
    let tiny = tiny();
    let plain = candle_core::safetensors::load(tiny.dir.path().join("base/model.safetensors"), &Device::Cpu);
    let plain = plain.expect("the weights");
    let golden = Golden::read();
    let state = |name: String, dtypes: [DType; 2]| {
        let dir = tiny.dir.path().join(name);
        fs::create_dir(&dir).expect("creates");
        fs::copy(tiny.dir.path().join("base/config.json"), dir.join("config.json")).expect("copies");
        let converted = plain.iter().map(|(name, tensor)| {
            let rounded = tensor.to_dtype(dtypes[0]).and_then(|t| t.to_dtype(dtypes[1]));
            (name.clone(), rounded.expect("converts"))
        });
        let converted = converted.collect::<std::collections::HashMap<_, _>>();
        candle_core::safetensors::save(&converted, dir.join("model.safetensors")).expect("writes");
        let backbone = Arc::new(Backbone::open(&dir, &Device::Cpu).expect("loads"));
        let model = StitchedModel::plain(backbone).expect("a model");
        let state =
            model.forward(&golden.batch().expect("a batch"), Mode::Eval).expect("forward").last_hidden_state;
        state.flatten_all().and_then(|s| s.to_vec1::<f32>()).expect("numbers")
    };
    for half in [DType::F16, DType::BF16] {
        let stored = state(format!("{half:?}"), [half, half]);
        assert_eq!(stored, state(format!("{half:?}-single"), [half, DType::F32]));
    }
}

#[test]
fn writing_twice_gives_the_same_bytes() {
    let tiny = tiny();
    let head = Head::Classification(ClassificationHead::flexible(2));
    let method = Method::Bottleneck(BottleneckConfig::houlsby(4.0));
    let read = |name: &str| {
        let dir = tiny.dir.path().join(name);
        write(&tiny, &dir, Format::Adapters, &method, &head);
        hub_formats::checkpoint::file_entries(&dir).expect("lists")
    };
    assert_eq!(read("first"), read("second"));
}

#[test]
fn a_lora_converts_to_the_other_layout_and_back_with_the_same_predictions() {
    let tiny = tiny();
    let head = Head::Classification(ClassificationHead::pooled(2));
    let method = Method::Lora(LoraConfig::query_value(2, 4.0, 2));
    let [peft, adapters, again] = ["peft", "adapters", "again"].map(|name| tiny.dir.path().join(name));
    write(&tiny, &peft, Format::Peft, &method, &head);
    let open = |dir: &Path| AdapterFolder::open(dir).expect("opens");
    convert(&open(&peft), &tiny.base, Format::Adapters, "x", &adapters).expect("converts");
    convert(&open(&adapters), &tiny.base, Format::Peft, "x", &again).expect("converts back");
    assert_eq!(open(&adapters).format, Format::Adapters);
    assert_eq!(logits(&tiny, &peft), logits(&tiny, &adapters));
    let weights = |dir: &Path| fs::read(dir.join("adapter_model.safetensors")).expect("reads");
    assert_eq!(weights(&peft), weights(&again));
    let bottleneck = Method::Bottleneck(BottleneckConfig::pfeiffer(4.0));
    let dir = tiny.dir.path().join("bottleneck");
    write(&tiny, &dir, Format::Adapters, &bottleneck, &Head::Classification(ClassificationHead::flexible(2)));
    let error = convert(&open(&dir), &tiny.base, Format::Peft, "x", &tiny.dir.path().join("no"))
        .expect_err("refused");
    assert_eq!(error.to_string(), "the peft format can't hold the method `bottleneck`");
}

#[test]
fn what_neither_library_has_is_not_converted() {
    let tiny = tiny();
    let head = Head::Classification(ClassificationHead::pooled(2));
    let shape = &tiny.base.shape;
    let methods = [
        Method::Replace(ReplaceConfig::bitfit(Architecture::Bert, shape, true)),
        Method::Replace(ReplaceConfig::full(Architecture::Bert, shape, false)),
        Method::Hadamard(HadamardConfig::standard()),
    ];
    let mut messages = Vec::new();
    for method in methods {
        let dir = tiny.dir.path().join(method.kind());
        write(&tiny, &dir, Format::Hub, &method, &head);
        for format in [Format::Peft, Format::Adapters] {
            let folder = AdapterFolder::open(&dir).expect("opens");
            let outcome = convert(&folder, &tiny.base, format, "x", &tiny.dir.path().join("no"));
            messages.push(outcome.map_or_else(|error| error.to_string(), |()| format!("{format} holds it")));
        }
        fs::remove_dir_all(&dir).expect("removes");
    }
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn damaged_folders_in_our_own_format_are_refused_by_name() {
    let tiny = tiny();
    let head = Head::Classification(ClassificationHead::pooled(2));
    let config = "hub_adapter.json";
    let refusal = |damage: &dyn Fn(&mut serde_json::Value)| {
        let dir = tiny.dir.path().join("adapter");
        write(&tiny, &dir, Format::Hub, &Method::Hadamard(HadamardConfig::standard()), &head);
        let mut json = serde_json::from_slice(&fs::read(dir.join(config)).expect("reads")).expect("JSON");
        damage(&mut json);
        fs::write(dir.join(config), json.to_string()).expect("writes");
        let error = match AdapterFolder::open(&dir) {
            Err(error) => error,
            Ok(folder) => folder.read_slots(&tiny.base.shape).expect_err("refused"),
        };
        error.to_string().replace(&tiny.dir.path().display().to_string(), "[DIR]")
    };
    let messages = [
        refusal(&|json| json["format_version"] = 2.into()),
        refusal(&|json| json["a_new_switch"] = true.into()),
        refusal(&|json| json["method"]["a_new_switch"] = true.into()),
        refusal(&|json| json["head"]["a_new_switch"] = true.into()),
        refusal(&|json| json["method"]["position"] = "everywhere".into()),
        refusal(&|json| json["method"]["layers"] = serde_json::json!([7])),
        refusal(&|json| json["method"]["norms"] = serde_json::json!(["ffn"])),
        refusal(&|json| json["method"]["norms"] = serde_json::json!([])),
        refusal(&|json| json["labels"] = serde_json::json!(["one"])),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

/// The message for a written adapter after `damage`.
fn refusal(damage: impl FnOnce(&Path)) -> String {
    let tiny = tiny();
    let dir = tiny.dir.path().join("adapter");
    let head = Head::Classification(ClassificationHead::flexible(2));
    write(&tiny, &dir, Format::Adapters, &Method::Bottleneck(BottleneckConfig::pfeiffer(4.0)), &head);
    damage(&dir);
    let error: CheckpointError = match AdapterFolder::open(&dir) {
        Err(error) => error,
        Ok(folder) => folder.read_slots(&tiny.base.shape).expect_err("refused"),
    };
    error.to_string().replace(&tiny.dir.path().display().to_string(), "[DIR]")
}

fn edit_config(dir: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = dir.join("adapter_config.json");
    let mut json = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    edit(&mut json);
    fs::write(&path, json.to_string()).expect("writes");
}

#[test]
fn damaged_folders_are_refused_by_name() {
    let weights = "adapter.safetensors";
    let truncate = |dir: &Path| {
        let bytes = fs::read(dir.join(weights)).expect("reads");
        fs::write(dir.join(weights), &bytes[..bytes.len() - 10]).expect("writes");
    };
    let pickle = |dir: &Path| {
        fs::remove_file(dir.join(weights)).expect("removes");
        fs::write(dir.join("pytorch_adapter.bin"), b"\x80\x02").expect("writes");
    };
    let messages = [
        refusal(truncate),
        refusal(|dir| fs::write(dir.join(weights), b"\x80\x04garbage garbage").expect("writes")),
        refusal(pickle),
        refusal(|dir| fs::write(dir.join("adapter_config.json"), "{").expect("writes")),
        refusal(|dir| {
            fs::remove_file(dir.join("adapter_config.json"))
                .and(fs::remove_file(dir.join("head_config.json")))
                .expect("removes");
        }),
        refusal(|dir| edit_config(dir, |json| json["config"]["reduction_factor"] = 2.into())),
        refusal(|dir| edit_config(dir, |json| json["config"]["inv_adapter"] = "glow".into())),
        refusal(|dir| edit_config(dir, |json| json["config"]["a_new_switch"] = true.into())),
        refusal(|dir| edit_config(dir, |json| json["config"]["non_linearity"] = "snake".into())),
        refusal(|dir| edit_config(dir, |json| json["model_type"] = "gpt9".into())),
        refusal(|dir| edit_config(dir, |json| json["name"] = "a.b".into())),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}
