//! Bad input gets a clear error, the right exit status, and no output.

use super::support::{bridge_nat, program, run};
use crate::need_kernel;

/// Runs netpath and returns its exit status and stderr; stdout must be empty.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?} wrote to stdout");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("not killed"), text)
}

#[test]
fn an_unknown_interface_is_told_with_names_and_namespaces() {
    need_kernel!();
    let lab = bridge_nat();
    let netns = lab.full_name("host");
    let (status, text) = refused(&["trace", "--iface", "vteh0", "--netns", &netns]);
    assert_eq!(status, 2);
    assert!(text.contains("did you mean veth0"), "{text}");
    let client = lab.full_name("client");
    let (status, text) = refused(&["trace", "--iface", "up0", "--netns", &client]);
    assert_eq!(status, 2);
    assert!(text.contains(&format!("--netns {netns}")), "{text}");
}

#[test]
fn an_unknown_namespace_is_told_with_close_names() {
    need_kernel!();
    let lab = bridge_nat();
    let wrong = format!("{}x", lab.full_name("host"));
    let (status, text) = refused(&["trace", "--iface", "veth0", "--netns", &wrong]);
    assert_eq!(status, 2);
    assert!(text.contains(&lab.full_name("host")), "{text}");
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_tracing() {
    need_kernel!();
    let (status, text) = refused(&["trace", "--iface", "lo", "-o", "/nonexistent/report"]);
    assert_eq!(status, 1);
    assert!(text.contains("/nonexistent/report"), "{text}");
    let (status, text) = refused(&["record", "--iface", "lo", "-o", "/nonexistent/file.npz"]);
    assert_eq!(status, 1);
    assert!(text.contains("/nonexistent/file.npz"), "{text}");
}

#[test]
fn missing_rights_are_named() {
    need_kernel!();
    let output = std::process::Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
        .arg(program())
        .args(["trace", "--iface", "lo"])
        .output()
        .expect("setpriv is in util-linux");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("CAP_BPF") && text.contains("CAP_NET_ADMIN"), "{text}");
}

#[test]
fn an_unknown_lab_is_told_with_close_names() {
    need_kernel!();
    let (status, text) = refused(&["lab", "run", "brigde-nat"]);
    assert_eq!(status, 2);
    assert!(text.contains("bridge-nat"), "{text}");
}
