//! Kernel symbols by address, from /proc/kallsyms.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader},
};

use rustc_hash::FxHashMap;

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
