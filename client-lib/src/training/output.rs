//! The output folder: who may write into it, and how it becomes an adapter.
//!
//! Everything is written into a hidden folder first and moved at the end, the
//! manifest last: a folder with a manifest is complete.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hub_formats::checkpoint::MEMBERS_FILE;
use hub_schemas::{
    layout::{
        ADAPTER_CONFIG, ADAPTERS_WEIGHTS, FUSION_CONFIG, FUSION_WEIGHTS, HEAD_CONFIG, HEAD_WEIGHTS,
        HUB_CONFIG, HUB_WEIGHTS, PEFT_WEIGHTS,
    },
    manifest::MANIFEST_FILE,
};

use super::{TrainingError, log::LOG_FILE, state::STATE_FILE};
use crate::files::sync_folder;

/// File name of the training report.
pub const REPORT_FILE: &str = "report.html";
/// File name of the model card.
pub(super) const CARD_FILE: &str = "README.md";
/// The saved first stage of a run in two stages. Hidden: it is never published.
const HEAD_STATE_FILE: &str = ".training-state-head.safetensors";
const STAGING: &str = ".staging";
/// The saved runs that a folder may hold.
const STATES: [&str; 2] = [STATE_FILE, HEAD_STATE_FILE];
/// What a run may have left without ever having saved anything.
const LITTER: [&str; 2] = [LOG_FILE, STAGING];
/// What an earlier adapter in the same folder may have and this one not.
const REPLACED: [&str; 13] = [
    MANIFEST_FILE,
    ADAPTER_CONFIG,
    ADAPTERS_WEIGHTS,
    PEFT_WEIGHTS,
    FUSION_CONFIG,
    FUSION_WEIGHTS,
    MEMBERS_FILE,
    HEAD_CONFIG,
    HEAD_WEIGHTS,
    HUB_CONFIG,
    HUB_WEIGHTS,
    REPORT_FILE,
    CARD_FILE,
];

/// What to do with what the output folder holds already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to touch it.
    #[default]
    Refuse,
    /// Go on with the interrupted run that lies there.
    Resume,
    /// Start again, and replace the adapter that lies there when done.
    Overwrite,
}

/// A folder that this run may write into.
#[derive(Debug)]
pub(super) struct Output {
    folder: PathBuf,
}

impl Output {
    /// Checks that the folder may be used, and creates it.
    pub(super) fn claim(folder: &Path, existing: Existing) -> Result<Self, TrainingError> {
        let has_state = STATES.iter().any(|state| folder.join(state).is_file());
        let nothing = || TrainingError::NothingToResume(folder.to_owned());
        match existing {
            // A run that was stopped before it ever saved begins again.
            Existing::Resume if !has_state && !folder.is_dir() => return Err(nothing()),
            Existing::Resume if !has_state && !is_empty(folder)? => return Err(nothing()),
            Existing::Refuse if has_state => return Err(TrainingError::Interrupted(folder.to_owned())),
            Existing::Refuse if !is_empty(folder)? => {
                return Err(TrainingError::OutputNotEmpty(folder.to_owned()));
            }
            _ => {}
        }
        fs::create_dir_all(folder).map_err(TrainingError::write(folder))?;
        let output = Self { folder: folder.to_owned() };
        if existing == Existing::Overwrite {
            output.forget()?;
        }
        Ok(output)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the run is saved.
    pub(super) fn state_path(&self) -> PathBuf {
        self.folder.join(STATE_FILE)
    }

    /// Where the first stage of a run in two stages is saved.
    pub(super) fn head_state_path(&self) -> PathBuf {
        self.folder.join(HEAD_STATE_FILE)
    }

    /// Removes what was saved.
    fn forget(&self) -> Result<(), TrainingError> {
        let saved = STATES.map(|state| self.folder.join(state));
        saved.iter().filter(|path| path.is_file()).try_for_each(|path| remove_file(path))
    }

    /// An empty folder inside, for the files to come.
    pub(super) fn stage(&self) -> Result<PathBuf, TrainingError> {
        let staging = self.folder.join(STAGING);
        if staging.exists() {
            fs::remove_dir_all(&staging).map_err(TrainingError::write(&staging))?;
        }
        fs::create_dir_all(&staging).map_err(TrainingError::write(&staging))?;
        Ok(staging)
    }

    /// Moves the staged files to their place, the manifest last, and forgets the saved run.
    pub(super) fn publish(&self, staging: &Path) -> Result<(), TrainingError> {
        for name in REPLACED {
            let path = self.folder.join(name);
            if path.is_file() {
                remove_file(&path)?;
            }
        }
        let entries = fs::read_dir(staging).map_err(TrainingError::write(staging))?;
        let mut names = entries
            .map(|entry| entry.map(|e| e.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(TrainingError::write(staging))?;
        names.sort_by_key(|name| (name == MANIFEST_FILE, name.clone()));
        for name in names {
            let (from, to) = (staging.join(&name), self.folder.join(&name));
            let file = fs::File::open(&from).and_then(|file| file.sync_all());
            file.and_then(|()| fs::rename(&from, &to)).map_err(TrainingError::write(&to))?;
        }
        sync_folder(&self.folder);
        fs::remove_dir(staging).map_err(TrainingError::write(staging))?;
        self.forget()
    }
}

fn remove_file(path: &Path) -> Result<(), TrainingError> {
    fs::remove_file(path).map_err(TrainingError::write(path))
}

/// Whether the folder is absent, or holds nothing of value.
fn is_empty(folder: &Path) -> Result<bool, TrainingError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(TrainingError::write(folder)(error)),
    };
    for entry in entries {
        let name = entry.map_err(TrainingError::write(folder))?.file_name();
        if !LITTER.iter().any(|litter| name == *litter) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(folder: &Path, existing: Existing) -> String {
        let error = Output::claim(folder, existing).expect_err("refused");
        format!("{error}").replace(&folder.display().to_string(), "out")
    }

    #[test]
    fn nothing_is_overwritten_without_being_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        Output::claim(path, Existing::Refuse).expect("an empty folder is fine");
        fs::write(path.join(LOG_FILE), "x").expect("writes");
        Output::claim(path, Existing::Resume).expect("a run that never saved begins again");
        fs::write(path.join("thesis.txt"), "x").expect("writes");
        assert_eq!(message(path, Existing::Resume), "the folder `out` holds no interrupted training run");
        assert_eq!(message(path, Existing::Refuse), "the folder `out` is not empty");
        fs::write(path.join(STATE_FILE), "x").expect("writes");
        assert_eq!(message(path, Existing::Refuse), "the folder `out` holds an interrupted training run");
        Output::claim(path, Existing::Overwrite).expect("overwrites");
        assert!(path.join("thesis.txt").is_file() && !path.join(STATE_FILE).exists());
    }

    #[test]
    fn the_manifest_appears_last_and_the_saved_run_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let output = Output::claim(&folder.path().join("new"), Existing::Refuse).expect("claims");
        fs::write(output.state_path(), "x").expect("writes");
        let staging = output.stage().expect("stages");
        for name in ["manifest.json", "adapter.safetensors"] {
            fs::write(staging.join(name), "x").expect("writes");
        }
        output.publish(&staging).expect("publishes");
        let mut names: Vec<_> = fs::read_dir(output.folder())
            .expect("lists")
            .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(names, ["adapter.safetensors", "manifest.json"]);
    }
}
