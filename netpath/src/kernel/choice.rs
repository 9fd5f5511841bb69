//! Which backends are used here, by trying them; and why the others aren't.

use std::{cell::OnceCell, collections::BTreeMap};

use netpath_common::point::{Point, Prefer};

use super::{
    btf::KernelBtf,
    links,
    options::Options,
    way::{self, Way},
};
use crate::backend::Backend;

pub(super) struct Choice {
    tracepoints: bool,
    /// How functions that BTF knows are probed.
    pub(super) typed: Option<Way>,
    /// How functions are probed that only have a symbol, because the compiler has changed their
    /// arguments. Tried when there is one.
    symbols: OnceCell<Result<Way, String>>,
    pub(super) links: bool,
    why_not: BTreeMap<Backend, String>,
}

impl Choice {
    /// Tries each backend that is asked for, the preferred ones first.
    pub(super) fn make(btf: &KernelBtf, options: &Options) -> Self {
        let mut this = Self {
            tracepoints: false,
            typed: None,
            symbols: OnceCell::new(),
            links: false,
            why_not: BTreeMap::new(),
        };
        for backend in Backend::ALL {
            let asked = options.backends.is_empty() || options.backends.contains(&backend);
            let tried = if asked {
                this.try_backend(backend, btf, options)
            } else {
                Err("not asked for".to_owned())
            };
            if let Err(why) = tried {
                if backend == Backend::Kprobe {
                    let _ = this.symbols.set(Err(why.clone()));
                }
                this.why_not.insert(backend, why);
            }
        }
        this
    }

    fn try_backend(
        &mut self,
        backend: Backend,
        btf: &KernelBtf,
        options: &Options,
    ) -> Result<(), String> {
        match backend {
            Backend::Tracepoint => self.tracepoints = true,
            Backend::Fentry => self.typed = Some(way::of(btf, backend)?),
            Backend::Kprobe if self.typed.is_some() => {}
            Backend::Kprobe => {
                let way = way::of(btf, backend)?;
                self.typed = Some(way);
                let _ = self.symbols.set(Ok(way));
            }
            Backend::NetfilterLink if self.typed.is_some() && options.backends.is_empty() => {
                return Err("functions are seen from inside".to_owned());
            }
            Backend::NetfilterLink => {
                links::try_links()?;
                self.links = true;
            }
        }
        Ok(())
    }

    /// How a function is probed that only has a symbol.
    pub(super) fn by_symbol(&self, btf: &KernelBtf) -> Result<Way, String> {
        self.symbols.get_or_init(|| way::of(btf, Backend::Kprobe)).clone()
    }

    /// Whether a point is served by its tracepoint.
    pub(super) fn by_tracepoint(&self, point: &Point) -> bool {
        let functions = self.typed.is_some() && !point.functions.is_empty();
        self.tracepoints
            && point.tracepoint.is_some()
            && (point.prefer == Prefer::Tracepoint || !functions)
    }

    /// Why backends aren't used.
    pub(super) fn why_not(&self) -> BTreeMap<Backend, String> {
        let mut why_not = self.why_not.clone();
        match self.symbols.get() {
            Some(Err(why)) => {
                why_not.insert(Backend::Kprobe, why.clone());
            }
            Some(Ok(_)) => {}
            None => {
                why_not
                    .insert(Backend::Kprobe, "not needed: fentry sees every function".to_owned());
            }
        }
        why_not
    }
}
