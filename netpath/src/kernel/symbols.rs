//! Kernel symbols by address, from /proc/kallsyms.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader},
};

use netpath_common::args::Positions;
use rustc_hash::FxHashMap;

use super::btf::Found;

/// Names of the functions at `addresses`; those that the kernel hides are absent.
pub(super) fn resolve(addresses: &BTreeSet<u64>) -> FxHashMap<u64, String> {
    let mut names = FxHashMap::default();
    let Ok(file) = File::open("/proc/kallsyms") else { return names };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = String::new();
    while names.len() < addresses.len() {
        line.clear();
        if !reader.read_line(&mut line).is_ok_and(|n| n > 0) {
            break;
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(address), _, Some(name)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if let Ok(address) = u64::from_str_radix(address, 16)
            && address != 0
            && addresses.contains(&address)
        {
            names.entry(address).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// Suffixes that the compiler gives to functions whose arguments it has changed.
const CHANGED: [&str; 2] = [".isra.", ".constprop."];

/// Names of the kernel's functions.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// By name without the compiler's suffix: the whole name, and how many there are.
    functions: FxHashMap<String, (String, usize)>,
}

impl Symbols {
    /// Reads those that the compiler has changed, or that are static.
    pub(super) fn read() -> Self {
        let mut this = Self::default();
        let Ok(file) = File::open("/proc/kallsyms") else { return this };
        for line in BufReader::with_capacity(1 << 16, file).lines().map_while(Result::ok) {
            let mut words = line.split_ascii_whitespace();
            let (Some(_), Some("t" | "T"), Some(name)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let bare = CHANGED.iter().find_map(|suffix| {
                let (bare, number) = name.split_once(suffix)?;
                number.bytes().all(|b| b.is_ascii_digit()).then_some(bare)
            });
            let entry = this.functions.entry(bare.unwrap_or(name).to_owned());
            entry.or_insert_with(|| (name.to_owned(), 0)).1 += 1;
        }
        this
    }

    /// The first of `names` that is exactly one function, to be probed without its arguments.
    pub(super) fn of_functions(&self, names: &[&str]) -> Option<Found> {
        names.iter().find_map(|name| match self.functions.get(*name) {
            Some((whole, 1)) => Some(Found {
                name: whole.clone(),
                module: None,
                id: 0,
                row: Positions::NONE.rows[0],
            }),
            _ => None,
        })
    }
}
