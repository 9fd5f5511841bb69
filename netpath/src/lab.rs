//! Ready-made topologies and traffic, in network namespaces of their own.

/// Namespaces of a lab are called `np` + run + `-` + role; people see the role.
const PREFIX: &str = "np";

/// A namespace's name as people see it: the role, where it is a lab's.
pub fn short_name(name: &str) -> String {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'))
        .filter(|(run, _)| !run.is_empty() && run.chars().all(|c| c.is_ascii_hexdigit()))
        .map_or_else(|| name.to_owned(), |(_, role)| role.to_owned())
}
