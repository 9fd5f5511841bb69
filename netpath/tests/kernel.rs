//! netpath on the running kernel: real traffic through real devices, in network namespaces of the
//! tests' own. Needs root; without it a test says `SKIP` and passes, unless NETPATH_REQUIRE_KERNEL
//! is 1.

mod kernel {
    pub(crate) mod support;

    mod bad_input;
    mod capture;
    mod causes;
    mod contention;
    mod counters;
    mod everything;
    mod lab;
    mod lifecycle;
    mod matrix;
    mod modules;
    mod names;
    mod neighbours;
    mod paths;
    mod recording;
    mod rules;
    mod selection;
    mod several;
}
