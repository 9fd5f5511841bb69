//! netpath on other kernels: Debian's, in QEMU without KVM.
//!
//! In: a row of [`KERNELS`] and a command, or netpath's kernel tests or cases. Out: how the command ended and
//! what it printed.
//! Nothing of this machine is changed but `target/vm`, where all that was fetched and made is kept.
//!
//! - [`kernels`]: the kernels, as data; [`sources`], [`apt`]: where their packages are, and getting
//!   them;
//! - [`modules`], [`programs`], [`root`], [`archive`], [`initramfs`]: what a guest finds in its memory;
//! - [`qemu`], [`guest`], [`console`]: the machine, one run of it, and its last words;
//! - [`tests`], [`cases`], [`rows`], [`table`]: netpath's tests in a guest, what its cases and the conformance's rows
//!   need there, and what can be measured where;
//! - [`peers`]: other tracers, for the benchmark in a guest;
//! - [`lab_guest`]: the guest of `netpath lab`, of the same parts.

pub(crate) mod apt;
mod archive;
mod cases;
mod console;
mod guest;
mod initramfs;
mod kernels;
pub(crate) mod lab_guest;
mod modules;
mod peers;
mod programs;
mod qemu;
mod root;
mod rows;
mod sources;
mod table;
mod tests;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};

use self::guest::{End, Guest, Outcome, Put, run};
pub(crate) use self::kernels::{KERNELS, Kernel, own};
use self::{root::Root, tests::Which};
use crate::{arch::Arch, build, setup::Tools, shell::target, test::Tally};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which kernel.
    #[arg(long, ignore_case = true, value_parser = selection())]
    kernel: Selection,
    /// Look for newer packages of it than those that were fetched.
    #[arg(long)]
    update: bool,
    /// Put a file or directory into the guest: into root's home, where the command runs, or at
    /// GUEST. A program's libraries come with it.
    #[arg(long = "file", value_name = "HOST[:GUEST]", value_parser = initramfs::put)]
    files: Vec<Put>,
    /// Put what the command leaves in the guest's /out into this directory; with `all`, into one
    /// for each kernel in it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many CPUs the guest has. Default: 2 for a command, 1 for the tests: an emulated machine's
    /// CPUs take turns.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: Option<u8>,
    /// Boot the kernel with this parameter, such as preempt=full; several are given one by one.
    #[arg(long, value_name = "PARAMETER", conflicts_with = "table")]
    boot: Vec<String>,
    /// Kill the guest after this time. Default: 20m, for the tests 45m.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Run only those of netpath's kernel tests whose names hold this, or another one that is given so.
    #[arg(long, value_name = "TEXT", conflicts_with = "command")]
    tests: Vec<String>,
    /// Run netpath's cases instead, or those whose names hold one of these, and leave their reports for
    /// --out. With a command: put in what the cases need, and run that.
    #[arg(long, value_name = "TEXT", num_args = 0.., conflicts_with_all = ["tests", "table"])]
    cases: Option<Vec<String>>,
    /// Run the conformance's rows instead whose names, `program::topology`, hold one of these, and leave what they
    /// came to for --out. The kernel's selftests (`selftest::`) are there if `cargo xtask conformance --selftests`
    /// has unpacked them.
    #[arg(long, value_name = "TEXT", num_args = 1.., conflicts_with_all = ["tests", "cases", "table", "command"])]
    rows: Option<Vec<String>>,
    /// Ask `netpath doctor` on each kernel and on this machine, and print what can be measured where.
    #[arg(long, conflicts_with_all = ["command", "tests"])]
    table: bool,
    /// The program to run as root and its arguments; netpath's kernel tests without one.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Kernels of one architecture.
#[derive(Clone, Debug)]
struct Selection(Vec<&'static Kernel>);

/// Reads the name of one of the kernels of this machine's architecture.
pub(crate) fn one() -> impl clap::builder::TypedValueParser<Value = &'static Kernel> {
    PossibleValuesParser::new(own().into_iter().map(possible))
        .try_map(|name| named(&name).ok_or("it is not in the list"))
}

fn selection() -> impl clap::builder::TypedValueParser<Value = Selection> {
    let all = PossibleValue::new("all")
        .help("each of this machine's architecture: a command in turn, tests side by side");
    PossibleValuesParser::new(KERNELS.iter().map(possible).chain([all]))
        .map(|name| Selection(named(&name).map_or_else(own, |one| vec![one])))
}

fn possible(kernel: &Kernel) -> PossibleValue {
    PossibleValue::new(kernel.name).help(kernel.what)
}

fn named(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|kernel| kernel.name.eq_ignore_ascii_case(name))
}

impl Args {
    /// A guest as these arguments want it.
    fn guest(&self, guest: Guest, kernel: &Kernel) -> Guest {
        let Selection(kernels) = &self.kernel;
        let out = self.out.as_ref().map(|dir| match kernels[..] {
            [_] => dir.clone(),
            _ => dir.join(kernel.name),
        });
        let mut files = guest.files;
        files.extend(self.files.iter().cloned());
        Guest {
            files,
            timeout: self.timeout.unwrap_or(guest.timeout),
            cpus: self.cpus.unwrap_or(guest.cpus),
            boot: self.boot.clone(),
            out,
            ..guest
        }
    }
}

/// A kernel that is ready to be booted.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    arch: &'static Arch,
    /// Where its programs are from.
    root: Root,
    kernel_file: PathBuf,
    /// Parts of its initramfs that all runs share.
    parts: Vec<PathBuf>,
    netpath: PathBuf,
}

/// The benchmark in a guest.
pub(crate) struct Bench<'a> {
    /// The measuring program, and the netpath that it measures.
    pub(crate) measure: &'a Path,
    pub(crate) netpath: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Where its results go.
    pub(crate) out: PathBuf,
    pub(crate) cpus: u8,
    pub(crate) timeout: Duration,
}

/// Runs the benchmark on another kernel, beside tracers of that kernel's Debian.
pub(crate) fn bench(kernel: &Kernel, bench: Bench<'_>) -> anyhow::Result<ExitCode> {
    let image = prepare(kernel, bench.netpath)?;
    let peers = peers::prepare()?;
    let mut command = vec![
        "env".to_owned(),
        format!("PATH={}:/usr/sbin:/usr/bin:/usr/lib/busybox", peers::GUEST),
        "CARGO_BIN_EXE_netpath=/usr/bin/netpath".to_owned(),
        "./measure".to_owned(),
        "--output=/out/bench.json".to_owned(),
    ];
    command.extend(peers.versions.into_iter().map(|version| format!("--version-of={version}")));
    command.extend(bench.arguments);
    let measure = Put { host: bench.measure.to_owned(), guest: "/root/measure".into() };
    let guest = Guest {
        command,
        files: vec![measure, peers.put],
        cpus: bench.cpus,
        out: Some(bench.out),
        timeout: bench.timeout,
        ..Guest::default()
    };
    let outcome = boot(kernel, &image, &guest)?;
    eprintln!("xtask: {}", line(kernel, &outcome));
    Ok(ExitCode::from(outcome.end.status()))
}

/// Fetches what it takes to boot a kernel with this netpath, as far as it isn't there.
fn prepare(kernel: &Kernel, netpath: PathBuf) -> anyhow::Result<Image> {
    let root = programs::setup(kernel.arch)?;
    let (dir, release) = fetched(kernel)?;
    let vm = target().join("vm");
    // Another xtask waits.
    let lock = File::create(vm.join("lock"))?;
    lock.lock()?;
    let programs_archive = vm.join(format!("programs-{}.cpio", kernel.arch.debian));
    programs::pack(&root, kernel.arch, &programs_archive)?;
    let modules_archive = pack_modules(&dir, &release)?;
    Ok(Image {
        arch: kernel.arch,
        root,
        kernel_file: kernel_file(&dir.join(TREE), &release)?,
        parts: vec![programs_archive, modules_archive],
        netpath,
    })
}

/// A kernel's directory and its version; fetched, unless it is there.
fn fetched(kernel: &Kernel) -> anyhow::Result<(PathBuf, String)> {
    let vm = target().join("vm");
    fs::create_dir_all(&vm).with_context(|| format!("cannot make {}", vm.display()))?;
    // Another xtask waits.
    let lock = File::create(vm.join("lock"))?;
    lock.lock()?;
    let dir = vm.join("cache").join(kernel.name);
    if !dir.join(RELEASE).is_file() {
        fetch(kernel, &dir)?;
    }
    let release = fs::read_to_string(dir.join(RELEASE))?;
    Ok((dir, release))
}

/// Below a kernel's directory: its packages, unpacked, and the version that they are of.
const TREE: &str = "tree";
const RELEASE: &str = "release";

/// Fetches a kernel anew; the directory comes to be when it is whole.
fn fetch(kernel: &Kernel, dir: &Path) -> anyhow::Result<()> {
    let cache = dir.parent().context("a kernel's directory is in the cache's")?;
    fs::create_dir_all(cache)?;
    let new = tempfile::Builder::new().prefix("new-").tempdir_in(cache)?;
    let state = target().join("vm/apt").join(kernel.name);
    let release = apt::fetch(kernel, &state, &new.path().join(TREE))?;
    fs::write(new.path().join(RELEASE), release)?;
    let _ = fs::remove_dir_all(dir);
    fs::rename(new.keep(), dir)?;
    Ok(())
}

/// The archive of a kernel's modules; made again when other modules are wanted.
fn pack_modules(dir: &Path, release: &str) -> anyhow::Result<PathBuf> {
    let (archive, stamp) = (dir.join("modules.cpio"), dir.join("modules.key"));
    let key = modules::WANTED.join("\n");
    if !archive.is_file() || fs::read_to_string(&stamp).ok().as_ref() != Some(&key) {
        modules::pack(&dir.join(TREE), release, modules::WANTED, &archive)?;
        fs::write(stamp, key)?;
    }
    Ok(archive)
}

/// The kernel: in /boot, or beside its modules from 7.x on.
fn kernel_file(tree: &Path, release: &str) -> anyhow::Result<PathBuf> {
    let beside = modules::dir(tree, release)?.join("vmlinuz");
    [tree.join(format!("boot/vmlinuz-{release}")), beside]
        .into_iter()
        .find(|file| file.is_file())
        .with_context(|| format!("{} has no kernel {release}", tree.display()))
}

/// `cargo xtask vm`.
pub(crate) fn command(tools: &Tools, args: &Args) -> anyhow::Result<ExitCode> {
    let Selection(kernels) = &args.kernel;
    if args.update {
        for kernel in kernels {
            let _ = fs::remove_dir_all(target().join("vm/cache").join(kernel.name));
        }
    }
    if args.command.is_empty() && !args.table {
        return run_tests(tools, kernels, args);
    }
    let arch = kernels.first().map_or_else(Arch::own, |kernel| Ok(kernel.arch))?;
    let netpath = build::run_static(tools, arch)?;
    if args.table {
        let image = |k: &&'static Kernel| Ok((*k, prepare(k, netpath.clone())?));
        let images = kernels.iter().map(image).collect::<anyhow::Result<Vec<_>>>()?;
        print!("{}", table::make(&images, &build::run_static(tools, Arch::own()?)?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = Vec::new();
    let mut worst = 0;
    for kernel in kernels {
        let image = prepare(kernel, netpath.clone())?;
        let files = match args.cases {
            Some(_) => cases::baggage(kernel.arch)?.files,
            None => Vec::new(),
        };
        let guest = Guest { command: args.command.clone(), files, ..Guest::default() };
        let outcome = boot(kernel, &image, &args.guest(guest, kernel))?;
        worst = worst.max(outcome.end.status());
        lines.push(line(kernel, &outcome));
        if outcome.end == End::Interrupted {
            break;
        }
    }
    for line in &lines {
        if kernels.len() > 1 {
            println!("{line}");
        } else {
            eprintln!("xtask: {line}");
        }
    }
    Ok(ExitCode::from(worst))
}

/// `cargo xtask vm` without a command.
fn run_tests(tools: &Tools, kernels: &[&Kernel], args: &Args) -> anyhow::Result<ExitCode> {
    let (suite, names) = match (&args.cases, &args.rows) {
        (Some(cases), _) => (&tests::CASES, cases),
        (None, Some(rows)) => (&tests::ROWS, rows),
        (None, None) => (&tests::KERNEL, &args.tests),
    };
    let which = Which::Named(names.clone());
    let guest = |kernel: &Kernel, guest| args.guest(guest, kernel);
    let mut unable = None;
    let tally = tests::run(tools, kernels, suite, &which, guest, |kernel, error| {
        eprintln!("xtask: {}: {error:#}", kernel.name);
        unable = Some(ExitCode::FAILURE);
    })?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(unable.unwrap_or(ExitCode::from(u8::from(tally.failed > 0))))
}

/// Runs the tests that every kernel is asked for on some kernels. Where one can't be run the others
/// are, and `unable` hears of it.
pub(crate) fn test(
    tools: &Tools,
    kernels: &[&Kernel],
    unable: impl FnMut(&Kernel, &anyhow::Error),
) -> anyhow::Result<Tally> {
    tests::run(tools, kernels, &tests::KERNEL, &Which::Asked, |_, guest| guest, unable)
}

fn boot(kernel: &Kernel, image: &Image, guest: &Guest) -> anyhow::Result<Outcome> {
    eprintln!("xtask: booting {} ({})", kernel.name, kernel.what);
    let outcome = run(image, guest)?;
    if !outcome.console.is_empty() {
        eprintln!("xtask: the guest's console says:\n{}", outcome.console);
    }
    Ok(outcome)
}

/// The kernel's version, the time and the result.
fn line(kernel: &Kernel, outcome: &Outcome) -> String {
    let version = match outcome.kernel_version.as_str() {
        "" => "did not boot",
        version => version,
    };
    let seconds = outcome.elapsed.as_secs_f64();
    format!("{:<10} {version:<28} {seconds:>6.1} s  {}", kernel.name, outcome.end)
}
