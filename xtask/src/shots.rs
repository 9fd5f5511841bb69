//! The HTML pages in a browser, report and difference: what their script does is tried, and pictures
//! are taken to look at.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{
    build,
    setup::{self, Tools},
    shell::{check, output, root, target, which},
};

/// Tries zoom, search and sorting, and notes errors of the page; see the end of the script.
const CHECK: &str = include_str!("shots/check.js");
/// What it leaves where all went well.
const FINE: &str = "data-check=\"fine\"";

/// Name, width and height of a picture, and whether it is dark.
const SIZES: [(&str, u32, u32, bool); 4] = [
    ("desk", 1280, 5200, false),
    ("tablet", 820, 5200, false),
    ("phone", 390, 5200, false),
    ("dark", 1280, 5200, true),
];

/// Makes target/shots/*.png of a page that is given, or of the fixture's.
pub(crate) fn run(tools: &Tools, page: Option<&Path>) -> anyhow::Result<()> {
    setup::require([("chromium", "chromium")].into_iter())?;
    let chromium = which("chromium").context("chromium was installed, but is not in PATH")?;
    let folder = target().join("shots");
    fs::create_dir_all(&folder)?;
    let own = folder.join("report.html");
    if let Some(page) = page {
        fs::copy(page, &own).with_context(|| format!("cannot read {}", page.display()))?;
        return look_at(&chromium, &own, "");
    }
    let binary = build::run(tools)?;
    let fixture = root().join("netpath/tests/fixtures/bridge-nat.npz");
    let netpath = || Command::new(&binary);
    check(netpath().arg("report").arg(&fixture).args(["--format", "html", "--output"]).arg(&own))?;
    look_at(&chromium, &own, "")?;
    let other = folder.join("other.json");
    let json = output(netpath().arg("report").arg(&fixture).arg("--json"))
        .context("the fixture can't be reported")?;
    fs::write(&other, changed(serde_json::from_str(&json)?).to_string())?;
    let diff = folder.join("diff.html");
    let mut command = netpath();
    command.arg("diff").arg(&fixture).arg(&other).args(["--format", "html", "--output"]).arg(&diff);
    check(&mut command)?;
    look_at(&chromium, &diff, "diff-")
}

/// A report that differs: walking rules takes a microsecond more, and nothing translates addresses.
fn changed(mut report: Value) -> Value {
    let add = |value: &mut Value, ns: f64| {
        if let Some(mean) = value["mean_ns"].as_f64() {
            value["mean_ns"] = (mean + ns).into();
        }
    };
    for path in report["paths"].as_array_mut().into_iter().flatten() {
        let mut more = 0.0;
        if let Some(hops) = path["hops"].as_array_mut() {
            for hop in hops.iter_mut().filter(|hop| hop["hop"] == "rules") {
                add(hop, 1000.0);
                more += 1000.0;
            }
            let gone = hops.iter().filter(|hop| hop["hop"] == "nat");
            more -= gone.filter_map(|hop| hop["mean_ns"].as_f64()).sum::<f64>();
            hops.retain(|hop| hop["hop"] != "nat");
        }
        add(&mut path["total"], more);
    }
    report
}

/// Tries a page out, and takes its pictures.
fn look_at(chromium: &Path, page: &Path, prefix: &str) -> anyhow::Result<()> {
    for (name, width, height, dark) in SIZES {
        try_out(chromium, page, &page.with_extension("check.html"), width)?;
        let picture = page.with_file_name(format!("{prefix}{name}.png"));
        let mut command = browser(chromium);
        command.arg(format!("--window-size={width},{height}"));
        command.arg(format!("--screenshot={}", picture.display()));
        if dark {
            command.arg("--force-dark-mode").arg("--blink-settings=preferredColorScheme=0");
        }
        if output(command.arg(url(page))).is_none() {
            bail!("chromium took no picture of {}", page.display());
        }
        println!("{}", picture.display());
    }
    let print = page.with_file_name(format!("{prefix}print.pdf"));
    let mut command = browser(chromium);
    command.arg("--no-pdf-header-footer").arg(format!("--print-to-pdf={}", print.display()));
    if output(command.arg(url(page))).is_none() {
        bail!("chromium did not print {}", page.display());
    }
    println!("{}", print.display());
    Ok(())
}

/// Runs the check in a copy of the page, and reads what it has left there.
fn try_out(chromium: &Path, page: &Path, copy: &Path, width: u32) -> anyhow::Result<()> {
    let text = fs::read_to_string(page)?;
    // Before everything else, so that no error is missed.
    let text = text.replacen("<head>", &format!("<head><script>{CHECK}</script>"), 1);
    fs::write(copy, text)?;
    let mut command = browser(chromium);
    command.arg(format!("--window-size={width},1000")).arg("--dump-dom").arg(url(copy));
    let dom = output(&mut command).context("chromium did not load the page")?;
    if dom.contains(FINE) {
        return Ok(());
    }
    let left = dom.split_once("data-check=\"").and_then(|(_, rest)| rest.split_once('"'));
    bail!("{}: {}", page.display(), left.map_or("the check did not run", |(what, _)| what))
}

fn browser(chromium: &Path) -> Command {
    let mut command = Command::new(chromium);
    // It refuses to run as root with a sandbox; the page is our own and loads nothing.
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
    command
}

fn url(page: &Path) -> String {
    format!("file://{}", page.display())
}
