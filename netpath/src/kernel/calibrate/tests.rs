//! Costs of machines whose times are made up.

use super::*;

/// A machine on which a datagram takes this long, in yardsticks of `yardstick_ns`.
fn measured(plain: Times, yardstick_ns: f64, called: f64, recording: Times) -> Measured {
    let times = |extra: f64, recording: Times| Times {
        hot: plain.hot * yardstick_ns + extra + recording.hot,
        woken: plain.woken * yardstick_ns + extra + recording.woken,
    };
    let turn = Turn {
        refused: times(called, Times::default()),
        recorded: times(called, recording),
        yardstick_ns,
    };
    Measured { plain: vec![plain; 9], turns: vec![turn; 9] }
}

#[test]
fn the_cost_lies_between_hot_and_woken_however_fast_the_machine_has_become() {
    for yardstick_ns in [300.0, 500.0] {
        let plain = Times { hot: 5.0, woken: 15.0 };
        let recording = Times { hot: 300.0, woken: 1300.0 };
        let cost = cost(&measured(plain, yardstick_ns, 200.0, recording), 10.0).unwrap();
        assert!((cost.mean - 100.0).abs() < 1e-9, "{cost:?}");
        assert!((cost.called - 20.0).abs() < 1e-9, "{cost:?}");
        let stddev = (100.0 / 12f64.sqrt()).hypot(100.0 * OTHER_TRAFFIC);
        assert!((cost.stddev - stddev).abs() < 0.1, "{cost:?}");
    }
}

#[test]
fn scatter_makes_the_cost_less_certain() {
    let times = Times { hot: 5.0, woken: 5.0 };
    let mut measured = measured(times, 400.0, 0.0, Times { hot: 500.0, woken: 500.0 });
    for (i, turn) in measured.turns.iter_mut().enumerate() {
        turn.recorded.hot += i as f64 * 100.0;
    }
    let cost = cost(&measured, 10.0).unwrap();
    assert!(cost.stddev > cost.mean * OTHER_TRAFFIC * 1.2, "{cost:?}");
}

#[test]
fn without_events_there_is_no_cost_to_tell() {
    assert_eq!(cost(&Measured::default(), 0.0), None);
}
