//! Control groups that a lab's daemons make for containers: no namespace holds them, so they are
//! named for their run, and removed with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = "/sys/fs/cgroup";

/// The group under which all others of a run stand.
pub(super) fn parent(id: &str) -> String {
    format!("netpath-{id}")
}

/// Removes a run's groups, in every hierarchy. Their processes have ended by then.
pub(super) fn remove(id: &str) {
    // The unified hierarchy's root, or one directory for each of the old ones.
    let mut roots = vec![PathBuf::from(ROOT)];
    roots.extend(directories(Path::new(ROOT)));
    for root in roots {
        let group = root.join(parent(id));
        if group.is_dir()
            && let Err(error) = remove_tree(&group)
        {
            tracing::warn!("cannot remove {}: {error}", group.display());
        }
    }
}

fn directories(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// Groups are removed from the leaves up; their files go with them.
fn remove_tree(group: &Path) -> std::io::Result<()> {
    directories(group).iter().try_for_each(|child| remove_tree(child))?;
    fs::remove_dir(group)
}
