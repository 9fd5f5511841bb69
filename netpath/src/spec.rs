//! What is to be traced, in the words that people use.
//!
//! In: namespaces by what lives there, and interfaces. Out: the paths from there; and later the same once more, as
//! containers have come and gone: what is chosen by a name is whoever has that name.

use std::cell::OnceCell;

use crate::{
    inventory::{self, Census, ChooseError, Meant},
    netns::{Netns, NetnsError},
    topo::{self, Asked, Chosen, TopoError, Topology},
};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Whose network namespaces are meant; the own one where nothing says.
    pub homes: Vec<Meant>,
    /// Interfaces, each looked up in each of these; `web/eth0` is looked up in `web`.
    pub ifaces: Vec<String>,
    /// Everything that hangs together with these namespaces, or that this host has where none is named.
    pub all: bool,
}

/// One interface in one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    home: Option<Meant>,
    /// The one that packets leave by, where there is none.
    iface: Option<String>,
}

/// What was found for a [`Spec`], by which words.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    single: Vec<Wish>,
    /// Where everything was asked for: the namespaces that it was restricted to.
    pub around: Vec<String>,
}

/// Why something is not to be had.
#[derive(Debug)]
pub enum SpecError {
    Choose(ChooseError),
    Topo(TopoError),
}

impl From<ChooseError> for SpecError {
    fn from(error: ChooseError) -> Self {
        Self::Choose(error)
    }
}

impl From<TopoError> for SpecError {
    fn from(error: TopoError) -> Self {
        Self::Topo(error)
    }
}

impl From<NetnsError> for SpecError {
    fn from(error: NetnsError) -> Self {
        Self::Topo(error.into())
    }
}

impl Spec {
    /// Finds all of it; the topology's choice has its order.
    pub fn find(&self) -> Result<(Topology, Wishes), SpecError> {
        let finder = Finder::default();
        if self.all {
            let homes = self.homes.iter().map(|home| finder.find(home));
            let homes = homes.collect::<Result<Vec<Netns>, _>>()?;
            let topology = topo::discover_everything(&homes);
            let around = homes.iter().map(|netns| topology.netns_name(netns.cookie)).collect();
            return Ok((topology, Wishes { single: Vec::new(), around }));
        }
        let found = self.asked(&finder)?;
        let (wishes, asked): (Vec<Wish>, Vec<Asked>) = found.into_iter().unzip();
        let (topology, taken) = topo::discover_all(&asked)?;
        let single = taken.into_iter().map(|nth| wishes[nth].clone()).collect();
        Ok((topology, Wishes { single, around: Vec::new() }))
    }

    /// What is looked up where.
    fn asked(&self, finder: &Finder) -> Result<Vec<(Wish, Asked)>, SpecError> {
        let mut asked = Vec::new();
        let mut add = |home: Option<&Meant>, netns: &Netns, iface: Option<&str>| {
            let iface = iface.map(str::to_owned);
            let wish = Wish { home: home.cloned(), iface: iface.clone() };
            asked.push((wish, Asked { netns: netns.clone(), iface }));
        };
        let (mut own, mut of_homes) = (Vec::new(), Vec::new());
        for iface in &self.ifaces {
            match iface.rsplit_once('/') {
                Some((home, name)) => own.push((Meant::Named(home.to_owned()), name)),
                None => of_homes.push(iface.as_str()),
            }
        }
        let mut homes = Vec::new();
        for home in &self.homes {
            homes.push((Some(home), finder.find(home)?));
        }
        if homes.is_empty() && !of_homes.is_empty() {
            homes.push((None, Netns::current()?));
        }
        let single = homes.len() == 1;
        let mut found = vec![false; of_homes.len()];
        for (home, netns) in &homes {
            if of_homes.is_empty() {
                add(*home, netns, None);
                continue;
            }
            let mut any = false;
            for (iface, found) in of_homes.iter().zip(&mut found) {
                // In one namespace, all of them have to be there: who looks finds that out.
                if single || Asked::new(iface, netns).is_there() {
                    (*found, any) = (true, true);
                    add(*home, netns, Some(iface));
                }
            }
            if !any {
                // Says what is there instead.
                topo::discover(of_homes[0], netns)?;
            }
        }
        if let (Some(missing), Some((_, netns))) = (found.iter().position(|f| !f), homes.first()) {
            topo::discover(of_homes[missing], netns)?;
        }
        for (home, iface) in own {
            add(Some(&home), &finder.find(&home)?, Some(iface));
        }
        Ok(asked)
    }
}

impl Wishes {
    /// The paths of what was chosen, as they are now.
    pub fn anew(&self, before: &[Chosen]) -> Topology {
        let finder = Finder::default();
        topo::discover_anew(before, |nth| {
            let wish = self.single.get(nth)?;
            let netns = match &wish.home {
                Some(home) => finder.find(home).ok()?,
                None => Netns::current().ok()?,
            };
            Some(Asked { netns, iface: wish.iface.clone() })
        })
    }
}

/// Finds namespaces by words; the machine is looked at once.
#[derive(Default)]
struct Finder {
    census: OnceCell<Census>,
    /// What else could have been meant.
    interfaces: OnceCell<Vec<String>>,
}

impl Finder {
    fn find(&self, meant: &Meant) -> Result<Netns, ChooseError> {
        let interfaces = self.interfaces.get_or_init(|| {
            let here = Netns::current().map_err(TopoError::from);
            here.and_then(|netns| topo::interfaces(&netns)).unwrap_or_default()
        });
        inventory::find(meant, interfaces, &self.census)
    }
}
