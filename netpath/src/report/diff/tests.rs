//! Differences between a real recording and variations of it.

use super::*;
use crate::report::tests::fixture;

#[test]
fn a_report_does_not_differ_from_itself() {
    let snapshot = fixture();
    let diff = compare(("a", &snapshot), ("b", &snapshot));
    assert_eq!(diff.paths.len(), snapshot.paths.len());
    for path in &diff.paths {
        assert_eq!(path.total.verdict, Verdict::Noise);
        assert!(path.hops.iter().all(|h| h.change.verdict == Verdict::Noise));
    }
    assert!(diff.notes.is_empty() && diff.only_a.is_empty() && diff.only_b.is_empty());
}

/// The fixture with every rule walk a microsecond longer, and without NAT.
fn changed() -> Snapshot {
    let mut snapshot = fixture();
    for path in &mut snapshot.paths {
        let packets = path.packets as f64;
        for hop in path.hops.iter_mut().filter(|h| h.hop == "rules") {
            hop.times.mean_ns += 1000.0;
            path.total.mean_ns += 1000.0 * hop.count as f64 / packets;
        }
        let gone: f64 = path.hops.iter().filter(|h| h.hop == "nat").map(|h| h.times.mean_ns).sum();
        path.total.mean_ns -= gone;
        path.hops.retain(|h| h.hop != "nat");
    }
    snapshot
}

#[test]
fn changes_are_found_and_sum_to_the_totals() {
    let (a, b) = (fixture(), changed());
    let diff = compare(("a", &a), ("b", &b));
    let path = &diff.paths[0];
    for hop in &path.hops {
        let expected = match hop.hop.as_str() {
            "rules" => Verdict::Longer,
            "nat" => Verdict::OnlyA,
            _ => Verdict::Noise,
        };
        assert_eq!(hop.change.verdict, expected, "{}", hop.what);
    }
    let sum: f64 = path.hops.iter().map(|h| h.change.delta_ns).sum();
    let delta = path.total.delta_ns - path.unattributed_delta_ns;
    assert!((sum - delta).abs() < 1.0, "{sum} of {delta}");
    // What only A has stands where it stood there.
    let keys: Vec<&str> = path.hops.iter().map(|h| h.hop.as_str()).collect();
    let of_a: Vec<&str> = a.paths[0].hops.iter().map(|h| h.hop.as_str()).collect();
    assert_eq!(keys, of_a);
}

#[test]
fn forms_are_as_they_were() {
    let (a, b) = (fixture(), changed());
    let text = |format| {
        let mut out = Vec::new();
        write(("a.npz", &a), ("b.npz", &b), format, Style::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    insta::assert_snapshot!(text(DiffFormat::Summary));
    let json: serde_json::Value = serde_json::from_str(&text(DiffFormat::Json)).unwrap();
    assert_eq!(json["schema"], SCHEMA);
    assert!(text(DiffFormat::Svg).contains("What changed from A to B"));
    let page = text(DiffFormat::Html);
    assert!(page.contains("rules filter") && !page.contains("href="));
}
