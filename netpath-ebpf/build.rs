//! Stamps the programs from netpath-common's tables into `$OUT_DIR/programs.rs`.
//!
//! | program | for |
//! | --- | --- |
//! | `tp_N` | the tracepoint of point N |
//! | `fe_N`, `kp_N` | the functions of point N, by fentry or kprobe; where it is their return, by fexit or kretprobe |
//! | `se_I`, `sx_I` | entry and exit of span I, by fentry and fexit |
//! | `ke_I`, `kx_I` | the same, by kprobe and kretprobe |
//! | `hook_slot_S` | link S of a netfilter hook |

use std::{env, fmt::Write as _, fs, path::Path};

use netpath_common::{
    point::{HOOK_SLOTS, POINTS},
    span::SPANS,
};

fn main() {
    let mut out = String::new();
    let mut program = |name: &str, section: &str, call: &str| {
        // Inert, a program is what is left of it when the verifier has cut off the rest.
        let result = call.rsplit("; ").next().unwrap_or("0");
        write!(
            out,
            "#[unsafe(no_mangle)]\n\
             #[unsafe(link_section = \"{section}\")]\n\
             pub(crate) extern \"C\" fn {name}(ctx: *const u64) -> i32 {{\n\
             \x20   if crate::recorder::inert() {{ return {result}; }}\n\
             \x20   {call}\n\
             }}\n\n",
        )
        .expect("writing to a string");
    };
    for point in POINTS {
        let number = point.point;
        let body = snake(&format!("{:?}", point.body));
        let call = |args: &str| format!("crate::point::{body}::<{args}, {number}>(ctx); 0");
        if let Some(name) = point.tracepoint {
            program(
                &format!("tp_{number}"),
                &format!("tp_btf/{name}"),
                &call("crate::args::Typed"),
            );
        }
        if !point.functions.is_empty() {
            let (fentry, kprobe) =
                if point.body.on_return() { ("fexit", "kretprobe") } else { ("fentry", "kprobe") };
            program(&format!("fe_{number}"), fentry, &call("crate::args::Typed"));
            program(&format!("kp_{number}"), kprobe, &call("crate::args::Registers"));
        }
    }
    for index in 0..SPANS.len() {
        let call =
            |what: &str, args: &str| format!("crate::span::{what}::<{args}, {index}>(ctx); 0");
        program(&format!("se_{index}"), "fentry", &call("enter", "crate::args::Typed"));
        program(&format!("sx_{index}"), "fexit", &call("exit", "crate::args::Typed"));
        program(&format!("ke_{index}"), "kprobe", &call("enter", "crate::args::Registers"));
        program(&format!("kx_{index}"), "kretprobe", &call("exit", "crate::args::Registers"));
    }
    for slot in 0..HOOK_SLOTS {
        program(
            &format!("hook_slot_{slot}"),
            "socket",
            &format!("crate::netfilter::slot::<{slot}>(ctx); crate::netfilter::NF_ACCEPT"),
        );
    }
    let dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join("programs.rs"), out).expect("OUT_DIR is writable");
    println!("cargo::rerun-if-changed=build.rs");
}

/// `LocalOut` to `local_out`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
