//! Screens of a real run's report, and of reports made from it.

use std::sync::Arc;

use ratatui::{Terminal, backend::TestBackend, crossterm::event::KeyCode, style::Color};

use super::{state::State, *};
use crate::snapshot::DropReport;

/// A recording of the lab's NAT path.
fn snapshot() -> Snapshot {
    let mut s = crate::report::tests::fixture();
    // The one that is shown first stands first.
    s.paths.sort_by_key(|p| p.direction != "outbound");
    s
}

/// A state that shows a snapshot, after some keys.
fn state(snapshot: Snapshot, keys: &str) -> State {
    let mut state = State::new(true);
    state.take(Arc::new(snapshot));
    press(&mut state, keys);
    state
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\r' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        on_key(state, code.into());
    }
}

fn buffer(state: &State, look: Look, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal.draw(|frame| render(state, look, frame.buffer_mut())).expect("it is drawn");
    terminal.backend().buffer().clone()
}

/// The screen as text.
fn screen(state: &State, look: Look, width: u16, height: u16) -> String {
    let buffer = buffer(state, look, width, height);
    let lines = (0..height).map(|y| {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

fn colourful(state: &State, width: u16, height: u16) -> String {
    screen(state, Look::default(), width, height)
}

const ASCII: Look = Look { depth: Depth::None, ascii: true };

/// Nothing but its header: no packets yet.
fn empty() -> Snapshot {
    let mut s = snapshot();
    (s.paths, s.flows, s.findings, s.transactions) = (vec![], vec![], vec![], vec![]);
    s.packets = crate::ledger::Coverage::default();
    s
}

#[test]
fn screens_of_three_sizes() {
    insta::assert_snapshot!("narrow", colourful(&state(snapshot(), ""), 80, 24));
    insta::assert_snapshot!("medium", colourful(&state(snapshot(), ""), 120, 40));
    insta::assert_snapshot!("large", colourful(&state(snapshot(), ""), 200, 60));
}

#[test]
fn without_colour_and_unicode_everything_is_still_there() {
    let state = state(snapshot(), "");
    insta::assert_snapshot!("ascii", screen(&state, ASCII, 100, 30));
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        for cell in &buffer(&state, ASCII, width, height).content {
            assert!(cell.symbol().is_ascii() && cell.fg == Color::Reset, "{cell:?}");
        }
        // None of them had to be made up.
        for glyph in colourful(&state, width, height).chars().filter(|c| !c.is_ascii()) {
            assert!(look::plain(glyph).is_some(), "{glyph}");
        }
    }
}

#[test]
fn nothing_seen_yet() {
    insta::assert_snapshot!("attaching", colourful(&State::new(true), 80, 12));
    insta::assert_snapshot!("empty", colourful(&state(empty(), ""), 80, 12));
}

#[test]
fn one_hop() {
    let mut s = snapshot();
    s.paths.truncate(1);
    s.paths[0].hops.truncate(1);
    s.flows.clear();
    insta::assert_snapshot!(colourful(&state(s, ""), 80, 24));
}

#[test]
fn more_hops_than_lines() {
    let mut s = snapshot();
    let hops = s.paths[0].hops.clone();
    for n in 0..4 {
        s.paths[0].hops.extend(hops.iter().cloned().map(|mut h| {
            h.netns = format!("{}-{n}", h.netns);
            h
        }));
    }
    insta::assert_snapshot!(colourful(&state(s, "G"), 100, 30));
}

#[test]
fn loss_and_drops() {
    let mut s = snapshot();
    s.lost_events = 768_700;
    s.packets.incomplete = s.packets.seen / 10;
    s.packets.complete = s.packets.seen - s.packets.incomplete;
    s.drops = vec![DropReport {
        reason: "NETFILTER_DROP".to_owned(),
        netns: "host".to_owned(),
        dev: "up0".to_owned(),
        count: 1234,
        hook: Some("FORWARD".to_owned()),
        hop: Some("rules".to_owned()),
        chains: vec!["ip lab forward".to_owned()],
        rule: Some("ip lab forward handle 4".to_owned()),
        sort: "refused".to_owned(),
        ..DropReport::default()
    }];
    let state = state(s, "");
    insta::assert_snapshot!(colourful(&state, 120, 40));
    // Loss stands out, with colours and without.
    let drawn = buffer(&state, Look::default(), 120, 40);
    let line: String = (0..120).map(|x| drawn[(x, 0)].symbol()).collect();
    let at = line.find("768 700").map(|at| line[..at].chars().count()).expect("it is told");
    let cell = &drawn[(u16::try_from(at).unwrap(), 0)];
    assert_eq!(cell.fg, palette::Role::Bad.style().fg.unwrap());
    assert!(cell.modifier.contains(ratatui::style::Modifier::BOLD));
}

#[test]
fn groups_fold_and_unfold() {
    let mut state = state(snapshot(), "gs");
    insta::assert_snapshot!("folded", colourful(&state, 100, 30));
    press(&mut state, "\r");
    insta::assert_snapshot!("unfolded", colourful(&state, 100, 30));
    // What is folded sums to the same.
    let sum = |s: &State| s.rows().iter().filter(|r| !r.inner).map(rows::Row::share).sum::<f64>();
    let groups = sum(&state);
    press(&mut state, "g");
    let hops = state.rows().iter().map(rows::Row::share).sum::<f64>();
    assert!((groups - hops).abs() < 1e-9, "{groups} {hops}");
}

#[test]
fn panels_with_all_the_room() {
    for (name, keys) in [
        ("hop", "jjj\r"),
        ("history", "\t\t\r"),
        ("packets", "\t\t\t\r"),
        ("trips", "\t\t\t\t\r"),
        ("findings", "\t\t\t\t\t\r"),
        ("flows", "\t\t\t\t\t\t\rs"),
        ("help", "?"),
    ] {
        insta::assert_snapshot!(name, colourful(&state(snapshot(), keys), 100, 44));
    }
}

#[test]
fn groups_have_percentiles_of_their_own_unless_the_filter_leaves_hops_out() {
    let of = |state: &State, key: &str| {
        state.rows().into_iter().find(|r| r.group == key && !r.inner).expect("it is there")
    };
    let mut state = state(snapshot(), "g");
    let path = state.path().unwrap().clone();
    for group in &path.groups {
        let row = of(&state, &group.group);
        assert_eq!((row.times, row.count), (Some(group.times), group.count));
        assert!((row.share() - group.share).abs() < 1e-9);
        let hops: Vec<_> = path.hops.iter().filter(|h| h.group == group.group).collect();
        if let [hop] = &hops[..] {
            assert_eq!((group.times, group.count), (hop.times, hop.count));
        }
        // Nobody's slowest is above the sum of all slowest, nor below any one's.
        let slowest = hops.iter().map(|h| h.times.max_ns);
        assert!(group.times.max_ns <= slowest.clone().sum::<u64>());
        assert!(group.times.max_ns >= slowest.max().unwrap());
    }
    // Of three ip hops two are on the host, of two drivers one.
    press(&mut state, "/host");
    assert_eq!(of(&state, "ip").times, None);
    let driver = path.hops.iter().find(|h| h.hop == "device" && h.netns == "host").unwrap();
    assert_eq!(of(&state, "device").times, Some(driver.times));
}

#[test]
fn what_help_has_no_room_for_can_be_scrolled_to() {
    let mut state = state(snapshot(), "?");
    let first = colourful(&state, 80, 24);
    assert!(first.contains("to the row above") && first.contains("for more"), "{first}");
    press(&mut state, "G");
    let end = colourful(&state, 80, 24);
    assert!(end.contains("the slowest of them") && !end.contains("to the row above"), "{end}");
    press(&mut state, "?");
    press(&mut state, "?");
    assert_eq!(colourful(&state, 80, 24), first);
}

#[test]
fn the_header_says_which_share_is_recorded() {
    let mut s = snapshot();
    let sampling = |share: &str, by: &str| crate::snapshot::SamplingReport {
        share: share.to_owned(),
        by: by.to_owned(),
        listened: 1.0,
        begun: 3_700,
        recorded: 100,
    };
    for (sampling, words) in [
        (None, None),
        (Some(sampling("1/8", "flows")), Some("1/8 of flows")),
        (Some(sampling("auto", "packets")), Some("auto 1/37 of packets")),
    ] {
        s.sampling = sampling;
        for width in [80, 120, 200] {
            let screen = colourful(&state(s.clone(), ""), width, 24);
            let line = screen.lines().next().unwrap();
            assert_eq!(line.contains("1/"), words.is_some(), "{line}");
            assert!(words.is_none_or(|words| line.contains(words)), "{line}");
        }
    }
}

#[test]
fn every_size_and_every_key_can_be_drawn() {
    for height in (1..64).step_by(7).chain([24, 25]) {
        for width in (1..220).step_by(13).chain([80, 100]) {
            let mut state = state(snapshot(), "");
            for keys in ["", "\r", "\u{1b}", "\t", "\t", "\t", "\r", "\t", "\t", "\t", "?", "/zz"] {
                press(&mut state, keys);
                buffer(&state, ASCII, width, height);
            }
        }
    }
}

#[test]
fn sorted_rows_stay_for_a_while_however_their_figures_change() {
    let first = snapshot();
    let mut second = first.clone();
    second.duration_ns += 500_000_000;
    second.paths[0].hops.iter_mut().for_each(|h| h.share = 1.0 / (h.share + 0.001));
    let mut later = second.clone();
    later.duration_ns += 2_000_000_000;

    let ids = |s: &State| s.rows().into_iter().map(|r| r.id).collect::<Vec<_>>();
    let mut state = state(first, "s");
    let sorted = ids(&state);
    state.take(Arc::new(second));
    assert_eq!(ids(&state), sorted);
    state.take(Arc::new(later));
    assert_ne!(ids(&state), sorted);
}

#[test]
fn the_cursor_stays_on_its_hop_when_rows_come_before_it() {
    let mut state = state(snapshot(), "jjj");
    let before = state.hop().map(|(_, h)| h.hop.clone());
    let mut more = snapshot();
    let mut new = more.paths[0].hops[0].clone();
    new.hop = "socket.send".to_owned();
    more.paths[0].hops.insert(0, new);
    state.take(Arc::new(more));
    assert_eq!(state.hop().map(|(_, h)| h.hop.clone()), before);
    assert_eq!(state.hop().map(|(i, _)| i), Some(4));
}

#[test]
fn the_rate_is_of_late_and_begins_anew_after_a_reset() {
    let mut state = State::new(true);
    let at = |seconds: u64, seen: u64| {
        let mut s = snapshot();
        (s.duration_ns, s.packets.seen) = (seconds * 1_000_000_000, seen);
        Arc::new(s)
    };
    for (seconds, seen) in [(1, 1_000), (2, 2_000), (3, 2_500), (4, 3_000)] {
        state.take(at(seconds, seen));
    }
    assert_eq!(state.rate(), Some(500.0));
    state.take(at(1, 70));
    assert_eq!(state.rate(), Some(70.0));
}

#[test]
fn a_path_of_the_other_direction_is_shown_and_kept() {
    let mut state = state(snapshot(), "d");
    assert_eq!(state.path().map(|p| p.direction.clone()).as_deref(), Some("inbound"));
    state.take(Arc::new(snapshot()));
    assert_eq!(state.path().map(|p| p.direction.clone()).as_deref(), Some("inbound"));
    press(&mut state, "d");
    assert_eq!(state.path().map(|p| p.direction.clone()).as_deref(), Some("outbound"));
}

#[test]
fn keys_ask_the_loop_for_what_it_has_to_do() {
    let mut state = state(snapshot(), "");
    let mut effect = |code: KeyCode| on_key(&mut state, code.into());
    assert_eq!(effect(KeyCode::Char('w')), state::Effect::Write);
    assert_eq!(effect(KeyCode::Char('r')), state::Effect::Reset);
    assert_eq!(effect(KeyCode::Char('q')), state::Effect::Quit);
    // While a filter is typed, they are letters.
    effect(KeyCode::Char('/'));
    assert_eq!(effect(KeyCode::Char('q')), state::Effect::None);
    assert_eq!(state.folding.filter, "q");
}
