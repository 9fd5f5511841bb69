//! What a guest is made of: a kernel, and an initramfs with a netpath in it.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::super::LabError;

/// What makes them.
pub(super) const MAKE: &str = "cargo xtask guest";
/// Names the directory that they are in.
const VARIABLE: &str = "NETPATH_GUEST";
const KERNEL: &str = "vmlinuz";
const INITRAMFS: &str = "initramfs";

/// Where packages put them.
const INSTALLED: &str = "/usr/lib/netpath/guest";

/// The kernel and the initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Image {
    pub(in crate::lab) kernel: PathBuf,
    pub(in crate::lab) initramfs: PathBuf,
}

/// Finds them: where the variable says, else beside the build's output, else where a package puts
/// them.
pub(in crate::lab) fn find() -> Result<Image, LabError> {
    let told = env::var_os(VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
    let places = match &told {
        Some(dir) => vec![dir.clone()],
        None => [beside(env::current_exe().ok().as_deref()), Some(PathBuf::from(INSTALLED))]
            .into_iter()
            .flatten()
            .collect(),
    };
    places.iter().find_map(|dir| in_dir(dir)).ok_or_else(|| lacking(&places, told.is_some()))
}

/// `target/guest` of the program `target/release/netpath`, or of a test in `target/release/deps`.
fn beside(program: Option<&Path>) -> Option<PathBuf> {
    let target = program?.ancestors().find(|dir| dir.file_name().is_some_and(|n| n == "target"))?;
    Some(target.join("guest"))
}

fn in_dir(dir: &Path) -> Option<Image> {
    let image = Image { kernel: dir.join(KERNEL), initramfs: dir.join(INITRAMFS) };
    (image.kernel.is_file() && image.initramfs.is_file()).then_some(image)
}

fn lacking(places: &[PathBuf], told: bool) -> LabError {
    let places: Vec<String> = places.iter().map(|dir| dir.display().to_string()).collect();
    let told = if told { format!(", which {VARIABLE} names") } else { String::new() };
    LabError::Lacks(format!(
        "no guest: there are no {KERNEL} and {INITRAMFS} in {}{told}. `{MAKE}`, in netpath's \
         sources, makes them of Debian's kernel packages; {VARIABLE}=DIR says where they are",
        places.join(" nor in "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_whole_or_it_is_none() {
        let dir = env::temp_dir().join(format!("netpath-image-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert_eq!(in_dir(&dir), None);
        std::fs::write(dir.join(KERNEL), "").unwrap();
        assert_eq!(in_dir(&dir), None);
        std::fs::write(dir.join(INITRAMFS), "").unwrap();
        assert_eq!(in_dir(&dir).map(|i| i.kernel), Some(dir.join(KERNEL)));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn it_is_looked_for_beside_what_was_built() {
        let of = |program: &str| beside(Some(Path::new(program)));
        assert_eq!(of("/s/target/release/netpath"), Some(PathBuf::from("/s/target/guest")));
        assert_eq!(of("/s/target/x/release/deps/k"), Some(PathBuf::from("/s/target/guest")));
        assert_eq!(of("/usr/bin/netpath"), None);
    }

    #[test]
    fn what_is_missing_is_told_with_what_makes_it() {
        let text = lacking(&[PathBuf::from("/a"), PathBuf::from("/b")], false).to_string();
        assert!(text.contains("in /a nor in /b") && text.contains(MAKE), "{text}");
    }
}
