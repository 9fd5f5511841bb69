//! What netpath's cases need in a guest: the scripts, the programs that they call, and of Python what
//! their own programs import.
//!
//! In: the folder of the scripts. Out: files for the guest, and where the tests find them there.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context as _, bail};

use super::{Put, tests::Baggage};
use crate::{
    arch::Arch,
    setup,
    shell::{output, root},
};

/// Programs that the scripts call and not every guest has, and Debian's packages of them.
const PROGRAMS: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("chrt", "util-linux"),
    ("ethtool", "ethtool"),
    ("ipvsadm", "ipvsadm"),
    ("nstat", "iproute2"),
    ("tcpdump", "tcpdump"),
];

/// Where Debian's Python is, which the scripts ask for first. Another one in PATH may be a wrapper.
const PYTHON: &str = "/usr/bin/python3";

/// Modules that Python imports once somebody needs them: for addresses, for text, for its own words.
const UNSAID: &[&str] = &["encodings.idna", "encodings.ascii", "encodings.latin_1", "locale"];

/// Imports modules, and prints the files of these and of all that they import: each with where the guest
/// finds it, compiled and without its source, whose time is another there. Names that are no modules stand in
/// text.
const IMPORT: &str = r#"
import importlib, os, sys, sysconfig
for name in sys.argv[1:]:
    try: importlib.import_module(name)
    except ImportError: pass
home = sysconfig.get_path("stdlib") + "/"
found = set()
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if not file or not file.startswith(home): continue
    cached = getattr(getattr(module, "__spec__", None), "cached", None)
    compiled = cached and os.path.exists(cached) and file.endswith(".py")
    found.add(f"{cached} {file}c" if compiled else f"{file} {file}")
print("\n".join(sorted(found)))
"#;

/// Where the guest has the scripts, and where its reports go.
const SCRIPTS: &str = "/root/cases";
const KEPT: &str = "/out";

pub(super) fn baggage(arch: &Arch) -> anyhow::Result<Baggage> {
    if !arch.is_own() {
        bail!(
            "the cases run on kernels of this machine's architecture: they take its Python along"
        );
    }
    setup::require([(PYTHON, "python3-minimal")].into_iter())?;
    let scripts = root().join("netpath/tests/cases");
    let mut files = vec![Put { host: scripts.clone(), guest: SCRIPTS.into() }];
    let put = |(program, host)| Put { host, guest: Path::new("/usr/bin").join(program) };
    files.extend(setup::at_hand(PROGRAMS)?.into_iter().map(put));
    files.push(Put { host: PYTHON.into(), guest: PYTHON.into() });
    files.extend(python(&imports(&scripts)?)?);
    let environment = [
        format!("NETPATH_CASES={SCRIPTS}"),
        format!("NETPATH_CASES_KEEP={KEPT}"),
        // What is known to be wrong is so on the machine where the list was made.
        "NETPATH_CASES_ACCEPT=less".to_owned(),
    ];
    Ok(Baggage { environment: environment.to_vec(), files })
}

/// The files of Python's library that these modules are made of.
fn python(modules: &BTreeSet<String>) -> anyhow::Result<Vec<Put>> {
    let mut command = Command::new(PYTHON);
    command.args(["-I", "-c", IMPORT]).args(UNSAID).args(modules);
    let said = output(&mut command).with_context(|| format!("cannot ask {PYTHON}"))?;
    let put = |(host, guest): (&str, &str)| Put { host: host.into(), guest: guest.into() };
    Ok(said.lines().filter_map(|line| line.split_once(' ')).map(put).collect())
}

/// Modules that programs in a folder's scripts import.
fn imports(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for dir in [folder.to_owned(), folder.join("lib")] {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "sh" || end == "py") {
                found.extend(imported(&fs::read_to_string(&path)?));
            }
        }
    }
    Ok(found)
}

/// Reads `import A, B`, wherever in a line it stands.
fn imported(text: &str) -> impl Iterator<Item = String> + '_ {
    let lists = text.lines().flat_map(|line| line.split("import ").skip(1));
    let names = lists.flat_map(|list| {
        let list = list.split([';', '\'', '"']).next().unwrap_or_default();
        list.split(',').map(str::trim)
    });
    let module = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    names.filter(move |name| !name.is_empty() && name.chars().all(module)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read_wherever_programs_stand() {
        let text = "mac() { \"$PY\" -c 'import json,sys; print(1)'; }\nimport os, select\n# to import it\n";
        let found: Vec<String> = imported(text).collect();
        assert_eq!(found, ["json", "sys", "os", "select", "it"]);
        assert_eq!(imported("# an import\nimportant").count(), 0);
    }

    #[test]
    fn what_the_scripts_import_is_known() -> anyhow::Result<()> {
        let found = imports(&root().join("netpath/tests/cases"))?;
        for module in ["argparse", "json", "selectors", "socket"] {
            assert!(found.contains(module), "{found:?}");
        }
        Ok(())
    }
}
