//! `netpath explain`: the bill and the findings in sentences, from a recording or live.

use std::process::ExitCode;

use anyhow::bail;

use super::{
    args::{self, FormatArg},
    report, trace,
};
use crate::report::Format;

pub(super) fn run(args: args::Explain) -> anyhow::Result<ExitCode> {
    let output = args::Output {
        format: Some(FormatArg(if args.json { Format::Json } else { Format::Explain })),
        json: false,
        output: args.output,
        report: None,
        thresholds: args.thresholds,
        look: args.look,
    };
    match (args.file, args.gather.0) {
        (Some(file), None) => report::run(&args::Report { file, output }),
        (None, Some(gather)) => trace::run(&args::Trace { gather, output }),
        (None, None) => bail!(
            "nothing to explain: give a recording, or what to trace (--container web --for 10s)"
        ),
        (Some(word), Some(mut gather)) => {
            if word.exists() && gather.filter.is_empty() {
                bail!("give a recording or what to trace, not both");
            }
            gather.filter.insert(0, word.to_string_lossy().into_owned());
            trace::run(&args::Trace { gather, output })
        }
    }
}
