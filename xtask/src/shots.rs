//! The HTML report in a browser: what its script does is tried, and pictures are taken to look at.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};

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

/// Makes target/shots/*.png of a page: the fixture's, or the one that is given.
pub(crate) fn run(tools: &Tools, page: Option<&Path>) -> anyhow::Result<()> {
    setup::require([("chromium", "chromium")].into_iter())?;
    let chromium = which("chromium").context("chromium was installed, but is not in PATH")?;
    let folder = target().join("shots");
    fs::create_dir_all(&folder)?;
    let own = folder.join("report.html");
    if let Some(page) = page {
        fs::copy(page, &own).with_context(|| format!("cannot read {}", page.display()))?;
    } else {
        let binary = build::run(tools)?;
        let fixture = root().join("netpath/tests/fixtures/bridge-nat.npz");
        let mut command = Command::new(binary);
        command.arg("report").arg(fixture).args(["--format", "html", "--output"]).arg(&own);
        check(&mut command)?;
    }
    try_out(&chromium, &own, &folder.join("check.html"))?;
    for (name, width, height, dark) in SIZES {
        let picture = folder.join(format!("{name}.png"));
        let mut command = browser(&chromium);
        command.arg(format!("--window-size={width},{height}"));
        command.arg(format!("--screenshot={}", picture.display()));
        if dark {
            command.arg("--force-dark-mode").arg("--blink-settings=preferredColorScheme=0");
        }
        if output(command.arg(url(&own))).is_none() {
            bail!("chromium took no picture of {}", own.display());
        }
        println!("{}", picture.display());
    }
    Ok(())
}

/// Runs the check in a copy of the page, and reads what it has left there.
fn try_out(chromium: &Path, page: &Path, copy: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(page)?;
    // Before everything else, so that no error is missed.
    let text = text.replacen("<head>", &format!("<head><script>{CHECK}</script>"), 1);
    fs::write(copy, text)?;
    let dom = output(browser(chromium).arg("--dump-dom").arg(url(copy)))
        .context("chromium did not load the page")?;
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
