//! Folders that appear whole or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::failure::UserError;

/// Lets `fill` write into a folder beside `target` and moves it there when all of
/// it is written. A disk that fills up, or a kill, leaves `target` as it was.
pub(crate) fn write_folder(
    target: &Path,
    flag: &str,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if fs::read_dir(target).is_ok_and(|mut items| items.next().is_some()) {
        return Err(UserError::new(format!("`{}` is not empty", target.display()))
            .hint(format!("name a folder that is empty or not there with `{flag} DIR`"))
            .into());
    }
    let staging = staging_beside(target);
    let failed = |e| UserError::new(format!("can't write `{}`: {e}", target.display()));
    // What a killed run left.
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging).map_err(failed)?;
    let filled = fill(&staging).and_then(|()| {
        if target.exists() {
            fs::remove_dir(target).map_err(failed)?;
        }
        Ok(fs::rename(&staging, target).map_err(failed)?)
    });
    if filled.is_err() {
        let _ = fs::remove_dir_all(&staging);
    }
    filled
}

/// On the same file system, so that moving it is one step.
fn staging_beside(target: &Path) -> PathBuf {
    let target = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    target.with_file_name(format!(".{name}.partial"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_whole_or_as_it_was() {
        let root = std::env::temp_dir().join(format!("hub-whole-{}", std::process::id()));
        let target = root.join("out");
        let failed = write_folder(&target, "--out", |folder| {
            fs::write(folder.join("half"), "x")?;
            anyhow::bail!("no space left")
        });
        assert_eq!(failed.expect_err("fails").to_string(), "no space left");
        assert_eq!(fs::read_dir(&root).expect("reads").count(), 0);
        let fill = |folder: &Path| Ok(fs::write(folder.join("all"), "x")?);
        write_folder(&target, "--out", fill).expect("writes");
        assert!(target.join("all").is_file());
        assert!(
            write_folder(&target, "--out", fill).expect_err("occupied").to_string().contains("is not empty")
        );
        fs::remove_dir_all(&root).expect("removes");
    }
}
