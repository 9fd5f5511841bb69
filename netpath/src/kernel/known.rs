//! What is known of the running kernel: its BTF, which backends work here, and what functions are called. Read
//! once, and again on a thread of its own when a module has come: the reader of the ring can't wait for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    thread::{self, JoinHandle},
};

use netpath_common::layout::Layout;

use super::{
    KernelError,
    btf::{self, KernelBtf},
    choice::Choice,
    hooks::{self, Listed, Named},
    options::Options,
    symbols::Symbols,
};
use crate::netns::Netns;

pub(super) struct Known {
    pub(super) btf: KernelBtf,
    /// Where the programs find what they read.
    pub(super) layout: Layout,
    pub(super) choice: Choice,
    /// Functions that are registered as hooks, by address; empty where the kernel hides it.
    functions: BTreeMap<u64, String>,
}

impl Known {
    /// Reads it, with the symbols, which are large: they are not kept.
    pub(super) fn read(options: &Options) -> Result<(Self, Symbols), KernelError> {
        let btf = KernelBtf::load()?;
        let layout = btf.layout()?;
        let choice = Choice::make(&btf, options);
        Ok((Self { btf, layout, choice, functions: BTreeMap::new() }, Symbols::read()))
    }

    /// Gives hooks their names; symbols are read where one has not been met before, and are not at hand.
    pub(super) fn name(
        &mut self,
        surveyed: &[(Netns, Vec<Listed>)],
        symbols: Option<&Symbols>,
    ) -> Vec<Named> {
        let unknown: BTreeSet<u64> =
            hooks::functions(surveyed).filter(|at| !self.functions.contains_key(at)).collect();
        if !unknown.is_empty() {
            let mut names = match symbols {
                Some(symbols) => symbols.names(&unknown),
                None => Symbols::read().names(&unknown),
            };
            let found = unknown.iter().map(|at| (*at, names.remove(at).unwrap_or_default()));
            self.functions.extend(found);
        }
        hooks::name(surveyed, &self.functions)
    }
}

/// Reading it anew, for modules that have come.
pub(super) struct Reading {
    modules: BTreeSet<String>,
    thread: JoinHandle<Result<(Known, Symbols), KernelError>>,
}

impl Reading {
    /// `None` where no thread can be started.
    pub(super) fn begin(modules: BTreeSet<String>, options: &Options) -> Option<Self> {
        let options = options.clone();
        // At the reader's own priority: beside busy packets on one CPU it would never be done otherwise.
        let read = move || Known::read(&options);
        let thread = thread::Builder::new().name("netpath-kernel".to_owned()).spawn(read).ok()?;
        Some(Self { modules, thread })
    }

    pub(super) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// The modules that it was read for, and what is known now.
    pub(super) fn take(self) -> Result<(BTreeSet<String>, Known, Symbols), KernelError> {
        let read = self.thread.join();
        let lost = |_| KernelError::Object("the thread that reads BTF panicked".to_owned());
        let (known, symbols) = read.map_err(lost)??;
        Ok((self.modules, known, symbols))
    }
}

/// Names of the modules that have BTF.
pub(super) fn module_names() -> BTreeSet<String> {
    let entries = fs::read_dir(btf::DIR).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    names.filter(|name| name != btf::KERNEL).collect()
}
