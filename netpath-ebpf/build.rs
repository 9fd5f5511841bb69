//! Stamps one program per row of netpath-common's tables into `$OUT_DIR/programs.rs`.

use std::{env, fmt::Write as _, fs, path::Path};

use netpath_common::point::{HOOK_SLOTS, TRACEPOINTS};

fn main() {
    let mut out = String::new();
    for tp in TRACEPOINTS {
        let (name, point) = (tp.name, tp.point);
        let body = format!("{:?}", tp.body).to_lowercase();
        write!(
            out,
            "/// `{name}`: {what}.\n\
             #[unsafe(no_mangle)]\n\
             #[unsafe(link_section = \"tp_btf/{name}\")]\n\
             pub extern \"C\" fn tp_{name}(ctx: *const u64) -> i32 {{\n\
             \x20   crate::tracepoint::{body}::<{point}>(ctx);\n\
             \x20   0\n\
             }}\n\n",
            what = tp.what,
        )
        .expect("writing to a string");
    }
    for slot in 0..HOOK_SLOTS {
        write!(
            out,
            "/// Link {slot} of a netfilter hook. Accepts at once.\n\
             #[unsafe(no_mangle)]\n\
             #[unsafe(link_section = \"socket\")]\n\
             pub extern \"C\" fn hook_slot_{slot}(ctx: *const u64) -> u32 {{\n\
             \x20   crate::netfilter::slot::<{slot}>(ctx);\n\
             \x20   crate::netfilter::NF_ACCEPT\n\
             }}\n\n",
        )
        .expect("writing to a string");
    }
    let dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join("programs.rs"), out).expect("OUT_DIR is writable");
    println!("cargo::rerun-if-changed=build.rs");
}
