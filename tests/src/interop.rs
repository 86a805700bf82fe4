//! Runs the same folder through `hub` and through the real Python libraries.
//!
//! The libraries live in `.venv`, which `scripts/python-env` makes. A test that
//! needs them fails when they are not there: what is skipped proves nothing.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};

/// Largest difference that counts as the same number in f32.
pub const TOLERANCE: f32 = 1e-4;

/// Named tensors in row-major order.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// `tests/fixtures`, or something in it.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The top of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// A command that runs `hub` as somebody who has never used it.
pub fn hub(home: &Path) -> Result<Command> {
    let mut folder = std::env::current_exe().context("this test's own path")?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let program = folder.join(format!("hub{}", std::env::consts::EXE_SUFFIX));
    ensure!(program.is_file(), "`{}` is not built; run `cargo build --workspace --bins`", program.display());
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).env("HUB_OFFLINE", "1").current_dir(home);
    Ok(command)
}

/// A command that runs a script of `tests/fixtures/python` in the interpreter that has the libraries.
pub fn python(script: &str) -> Result<Command> {
    let interpreter = repository().join(".venv/bin/python");
    ensure!(
        interpreter.is_file(),
        "`.venv` has no Python with torch, peft and adapters; make it with `scripts/python-env`"
    );
    let mut command = Command::new(interpreter);
    command.arg(fixture("python").join(script));
    Ok(command)
}

/// The output of a command that must succeed.
pub fn succeed(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("could not start {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}:\n{said}", output.status);
    }
    Ok(output)
}

/// What `hub forward` makes of the fixtures' inputs.
pub fn hub_forward(base: &Path, adapter: Option<&Path>) -> Result<Tensors> {
    hub_forward_on(&fixture("inputs.safetensors"), base, adapter)
}

/// What `hub forward` makes of a file of inputs.
pub fn hub_forward_on(inputs: &Path, base: &Path, adapter: Option<&Path>) -> Result<Tensors> {
    let home = tempfile::tempdir()?;
    let outputs = home.path().join("outputs.safetensors");
    let mut command = hub(home.path())?;
    command.arg("forward").arg("--base").arg(base);
    if let Some(adapter) = adapter {
        command.arg("--adapter").arg(adapter);
    }
    command.arg("--inputs").arg(inputs).arg("--outputs").arg(&outputs);
    succeed(&mut command)?;
    read(&outputs)
}

/// What a Python library (`peft`, `adapters`, `transformers`) makes of the fixtures' inputs.
pub fn python_forward(library: &str, base: &Path, adapter: Option<&Path>) -> Result<Tensors> {
    python_forward_on(&fixture("inputs.safetensors"), library, base, adapter)
}

/// What a Python library makes of a file of inputs.
pub fn python_forward_on(
    inputs: &Path,
    library: &str,
    base: &Path,
    adapter: Option<&Path>,
) -> Result<Tensors> {
    let home = tempfile::tempdir()?;
    let outputs = home.path().join("outputs.safetensors");
    let mut command = python("forward.py")?;
    command.arg(library).arg("--base").arg(base);
    if let Some(adapter) = adapter {
        command.arg("--adapter").arg(adapter);
    }
    command.arg("--inputs").arg(inputs).arg("--outputs").arg(&outputs);
    succeed(&mut command)?;
    read(&outputs)
}

/// All tensors of a safetensors file, which must be f32.
pub fn read(path: &Path) -> Result<Tensors> {
    let bytes = std::fs::read(path).with_context(|| format!("could not read `{}`", path.display()))?;
    let mut tensors = Tensors::new();
    for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
        ensure!(
            view.dtype() == Dtype::F32,
            "`{name}` in `{}` is {:?}, not f32",
            path.display(),
            view.dtype()
        );
        let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensors.insert(name, (view.shape().to_vec(), numbers));
    }
    Ok(tensors)
}

/// Fails unless both have the same tensors with the same numbers.
pub fn ensure_same(ours: &Tensors, theirs: &Tensors) -> Result<()> {
    let names = |tensors: &Tensors| tensors.keys().cloned().collect::<Vec<_>>();
    ensure!(names(ours) == names(theirs), "we have {:?}, they have {:?}", names(ours), names(theirs));
    for (name, (shape, ours)) in ours {
        let (their_shape, theirs) = &theirs[name];
        ensure!(shape == their_shape, "`{name}` has shape {shape:?}, theirs {their_shape:?}");
        // NaN has no order, so it counts as different.
        let is_far = |(a, b): (&f32, &f32)| (a - b).abs().partial_cmp(&TOLERANCE).is_none_or(Ordering::is_gt);
        let far = ours.iter().zip(theirs).position(is_far);
        if let Some(at) = far {
            bail!(
                "`{name}` differs first at element {at} of {shape:?}: {} and theirs {}",
                ours[at],
                theirs[at]
            );
        }
    }
    Ok(())
}
