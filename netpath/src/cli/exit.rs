//! What the exit status means, and how errors are told.

use std::{io::Write as _, process::ExitCode};

use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use super::{args::Args, live::NoTerminal};
use crate::{
    errors::told, filter::FilterError, inventory::ChooseError, kernel::KernelError, lab::LabError,
    live::LiveError, netns::NetnsError, topo::TopoError, tui,
};

/// An exit status of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Fine = 0,
    Failed = 1,
    Usage = 2,
    Kernel = 3,
    Permission = 4,
    Threshold = 5,
    Interrupted = 130,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// The status that an error leads to.
fn status(error: &anyhow::Error) -> Status {
    for cause in error.chain() {
        let live = cause.downcast_ref::<LiveError>();
        let kernel = match live {
            Some(LiveError::Kernel(kernel)) => Some(kernel),
            _ => cause.downcast_ref::<KernelError>(),
        };
        if let Some(kernel) = kernel {
            return match kernel {
                KernelError::Permission { .. } => Status::Permission,
                KernelError::System { source, .. }
                    if source.kind() == std::io::ErrorKind::PermissionDenied =>
                {
                    Status::Permission
                }
                _ => Status::Kernel,
            };
        }
        let netns = match cause.downcast_ref() {
            Some(ChooseError::Netns(netns)) => Some(netns),
            _ => cause.downcast_ref::<NetnsError>(),
        };
        if let Some(NetnsError::Enter { source, .. } | NetnsError::Open { source, .. }) = netns
            && source.kind() == std::io::ErrorKind::PermissionDenied
        {
            return Status::Permission;
        }
        if let Some(TopoError::NoInterface { .. } | TopoError::OnlyLoopback { .. }) =
            cause.downcast_ref()
        {
            return Status::Usage;
        }
        if let Some(
            ChooseError::Nothing { .. } | ChooseError::Several { .. } | ChooseError::Stopped { .. },
        ) = cause.downcast_ref()
        {
            return Status::Usage;
        }
        if cause.is::<FilterError>() || cause.is::<NoTerminal>() {
            return Status::Usage;
        }
        match cause.downcast_ref() {
            Some(LabError::Unknown { .. }) => return Status::Usage,
            Some(LabError::Lacks(_)) => return Status::Kernel,
            _ => {}
        }
        match netns {
            Some(NetnsError::NotFound { .. } | NetnsError::NotOne { .. }) => return Status::Usage,
            Some(NetnsError::NoCookie) => return Status::Kernel,
            _ => {}
        }
    }
    Status::Failed
}

/// Tells an error on stderr. A reader that has closed our stdout is no error.
pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return Status::Fine.into();
    }
    let _ = writeln!(std::io::stderr(), "netpath: {}", told(error.as_ref()));
    for cause in error.chain() {
        if let Some(KernelError::Verifier { log, .. }) = cause.downcast_ref() {
            let _ = writeln!(std::io::stderr(), "the verifier's log ends:\n{log}");
        }
    }
    status(error).into()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Help, version and usage errors as clap words them.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { Status::Usage.into() } else { Status::Fine.into() }
}

/// Diagnostics go to stderr; `NETPATH_LOG`, such as `netpath=debug,warn`, overrides `-v`.
pub(super) fn init_log(args: &Args) {
    let default = match args.verbose {
        0 => "warn",
        1 => "netpath=info,warn",
        _ => "netpath=trace,info",
    };
    // Not an EnvFilter: for filters by what a message says, that one brings a regex engine of 390 kB.
    let asked = std::env::var("NETPATH_LOG").ok().and_then(|text| text.parse().ok());
    let wanted: Targets = asked.or_else(|| default.parse().ok()).unwrap_or_default();
    let messages = tracing_subscriber::fmt::layer().with_writer(|| tui::Stderr).without_time();
    let _ = tracing_subscriber::registry().with(messages).with(wanted).try_init();
}
