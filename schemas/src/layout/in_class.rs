//! The files of an adapter that `adapters` saved with the head of a model class of `transformers`.

use super::{
    Format, HEAD_WEIGHTS, Inexpressible, ModelClass, Subject, TensorSpec, WeightsFile, weights_files,
};
use crate::{
    head::Head,
    method::{Method, ReplaceConfig, UnionConfig},
};

/// The weights files of an adapter in the format of `adapters`, with a head of `class`.
///
/// The library takes for the head what a class has besides its backbone (`PredictionHeadLoader` of 1.3.0): so the head's
/// file also has the trained copies of a pooler among the method's parts, and may have the adapter's own prefixes.
/// Errors where the format has no words for the method.
pub fn weights_files_in_class(
    subject: &Subject<'_>,
    class: ModelClass,
    head: &Head,
) -> Result<Vec<WeightsFile>, Inexpressible> {
    let (method, copies) = apart(subject.method);
    let mut files = weights_files(Format::Adapters, &Subject { method: &method, head: None, ..*subject })?;
    let is_pool = |spec: &&TensorSpec| spec.disk.starts_with("prefix_tuning.");
    let pools: Vec<TensorSpec> = (files.iter().flat_map(|file| &file.tensors).filter(is_pool))
        .map(|spec| TensorSpec { optional: true, ..spec.clone() })
        .collect();
    let mut tensors = class.tensors(head, subject.shape.hidden_size);
    tensors.extend(pools);
    tensors.extend(copies.iter().flat_map(|copies| class.copied_tensors(copies, subject.shape)));
    files.push(WeightsFile { path: HEAD_WEIGHTS, tensors });
    Ok(files)
}

/// The method, and apart from it what the head's file has of the backbone.
fn apart(method: &Method) -> (Method, Option<ReplaceConfig>) {
    let (copies, mut parts): (Vec<Method>, Vec<Method>) =
        method.parts().iter().cloned().partition(|part| matches!(part, Method::Replace(_)));
    match copies.into_iter().next() {
        Some(Method::Replace(copies)) => {
            let method = match parts.len() {
                0 => Method::LastLayer,
                1 => parts.swap_remove(0),
                _ => Method::Union(UnionConfig { parts }),
            };
            (method, Some(copies))
        }
        _ => (method.clone(), None),
    }
}
