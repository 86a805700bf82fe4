//! PEFT's names: `base_model.model.<module>.lora_A.weight`.

use super::{Format, Inexpressible, Method, PEFT_WEIGHTS, Subject, TensorSpec, WeightsFile, heads};

pub(super) fn weights_files(subject: &Subject<'_>) -> Result<Vec<WeightsFile>, Inexpressible> {
    let refuse = |what: &str| Err(Inexpressible { format: Format::Peft, what: what.to_owned() });
    let Method::Lora(config) = subject.method else {
        return refuse(&format!("the method `{}`", subject.method.kind()));
    };
    let prefix =
        if subject.prefixed { format!("{}.", subject.architecture.model_prefix()) } else { String::new() };
    let mut tensors = Vec::new();
    for layer in 0..subject.shape.num_layers {
        for site in super::LinearSite::ALL.into_iter().filter(|&s| config.is_at(layer, s)) {
            let module = subject.architecture.linear_path(layer, site);
            let (inputs, outputs) = subject.shape.linear_dims(site);
            for (disk, slot, shape) in
                [("lora_A", "lora_a", vec![config.r, inputs]), ("lora_B", "lora_b", vec![outputs, config.r])]
            {
                tensors.push(TensorSpec {
                    disk: format!("base_model.model.{prefix}{module}.{disk}.weight"),
                    slot: format!("layers.{layer}.{site}.{slot}"),
                    shape,
                    aliases: Vec::new(),
                });
            }
        }
    }
    if let Some(head) = subject.head {
        tensors.extend(heads::peft_tensors(head, subject)?);
    }
    Ok(vec![WeightsFile { path: PEFT_WEIGHTS, tensors }])
}
