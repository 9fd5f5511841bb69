//! The packages: an archive, a .deb, an .rpm, from one tree. What they say of themselves is netpath/Cargo.toml's
//! `package.metadata`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{CARGO_DEB, CARGO_GENERATE_RPM, Release};
use crate::{
    arch::Arch,
    shell::{check, root},
};

/// The tree, in the target directory. `package.metadata` has this path.
pub(super) const TREE: &str = "package-tree";

impl Release {
    /// `netpath-VERSION-ARCH-linux.tar.gz`.
    pub(super) fn archive(&self, arch: &Arch, tree: &Path) -> anyhow::Result<PathBuf> {
        let name = format!("netpath-{}-{}-linux", self.version, arch.rust);
        let tar = self.out.join(format!("{name}.tar"));
        let mut command = Command::new("tar");
        command.args(["--create", "--sort=name", "--format=ustar", "--owner=0", "--group=0"]);
        command
            .args(["--numeric-owner", "--mode=u=rwX,go=rX"])
            .arg(format!("--mtime=@{}", self.epoch));
        command.arg(format!("--transform=s,^\\.,{name},")).arg("--file").arg(&tar);
        check(command.arg("--directory").arg(tree).arg("."))?;
        check(Command::new("gzip").args(["--best", "--no-name", "--force"]).arg(&tar))?;
        Ok(tar.with_extension("tar.gz"))
    }

    /// `netpath_VERSION_ARCH.deb`.
    pub(super) fn deb(&self, arch: &Arch) -> anyhow::Result<PathBuf> {
        let file = self.out.join(format!("netpath_{}_{}.deb", self.version, arch.debian));
        let mut command = self.packager(&CARGO_DEB)?;
        command.args(["--package", "netpath", "--no-build", "--no-strip", "--quiet"]);
        command.args(["--target", &arch.target()]).arg("--output").arg(&file);
        check(&mut command)?;
        Ok(file)
    }

    /// `netpath-VERSION-1.ARCH.rpm`.
    pub(super) fn rpm(&self, arch: &Arch) -> anyhow::Result<PathBuf> {
        let file = self.out.join(format!("netpath-{}-1.{}.rpm", self.version, arch.rust));
        let mut command = self.packager(&CARGO_GENERATE_RPM)?;
        command.args(["--package", "netpath", "--arch", arch.rust, "--source-date", &self.epoch]);
        check(command.arg("--output").arg(&file))?;
        Ok(file)
    }

    /// Prepares one of the packagers' programs.
    pub(super) fn packager(&self, program: &crate::setup::Crate) -> anyhow::Result<Command> {
        let mut command = Command::new(program.find()?);
        command.current_dir(root()).env("SOURCE_DATE_EPOCH", &self.epoch);
        Ok(command)
    }
}
