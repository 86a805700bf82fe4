//! Setups that `adapters` saved, given to the real program as one folder.

use std::path::Path;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, safetensors::load};
use hub_tests::interop::hub_forward_on;

#[test]
fn forward_takes_the_folder_of_a_setup_as_it_is() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods");
    for case in ["stack-as-setup", "fuse-as-setup"] {
        let folder = root.join("cases").join(case);
        let inputs = root.join("inputs/bert.safetensors");
        let found = hub_forward_on(&inputs, &root.join("bases/bert"), Some(&folder.join("setup")))?;
        let expected = load(folder.join("expected.safetensors"), &Device::Cpu)?;
        let expected = &expected["last_hidden_state"];
        let (shape, found) = &found["last_hidden_state"];
        ensure!(expected.dims() == shape, "{case}: {shape:?}");
        let expected = expected.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        ensure!(apart < 1e-4, "{case}: {apart}");
    }
    Ok(())
}
