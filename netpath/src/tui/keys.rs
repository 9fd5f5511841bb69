//! Keys: one table, from which help and footer derive.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Help,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Into,
    Back,
    NextPanel,
    PreviousPanel,
    Direction,
    NextPath,
    PreviousPath,
    Sort,
    Groups,
    Filter,
    Pause,
    Reset,
    Write,
    Suspend,
    Quit,
}

/// A row of [`KEYS`].
#[derive(Debug)]
pub struct Key {
    pub action: Action,
    pub codes: &'static [KeyCode],
    /// How help and footer write the keys.
    pub keys: &'static str,
    /// In the footer: one word.
    pub word: &'static str,
    /// In help: a sentence.
    pub what: &'static str,
    /// How early it stands in the footer; `None`: in help alone.
    pub footer: Option<u8>,
}

use KeyCode::{BackTab, Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up};

/// All keys, in the order of the help.
pub const KEYS: &[Key] = &[
    Key {
        action: Action::Up,
        codes: &[Up, Char('k')],
        keys: "↑ k",
        word: "up",
        what: "to the row above",
        footer: None,
    },
    Key {
        action: Action::Down,
        codes: &[Down, Char('j')],
        keys: "↓ j",
        word: "down",
        what: "to the row below",
        footer: None,
    },
    Key {
        action: Action::PageUp,
        codes: &[PageUp],
        keys: "PgUp",
        word: "page up",
        what: "ten rows up",
        footer: None,
    },
    Key {
        action: Action::PageDown,
        codes: &[PageDown],
        keys: "PgDn",
        word: "page down",
        what: "ten rows down",
        footer: None,
    },
    Key {
        action: Action::First,
        codes: &[Home],
        keys: "Home",
        word: "first",
        what: "to the first row",
        footer: None,
    },
    Key {
        action: Action::Last,
        codes: &[End, Char('G')],
        keys: "End G",
        word: "last",
        what: "to the last row",
        footer: None,
    },
    Key {
        action: Action::Into,
        codes: &[Enter, Right, Char('l')],
        keys: "Enter → l",
        word: "into",
        what: "into the hop, finding or panel under the cursor; unfold a group",
        footer: Some(1),
    },
    Key {
        action: Action::Back,
        codes: &[Esc, Left, Char('h')],
        keys: "Esc ← h",
        word: "back",
        what: "back out; drop the filter",
        footer: None,
    },
    Key {
        action: Action::NextPanel,
        codes: &[Tab],
        keys: "Tab",
        word: "panel",
        what: "to the next panel",
        footer: Some(2),
    },
    Key {
        action: Action::PreviousPanel,
        codes: &[BackTab],
        keys: "Shift-Tab",
        word: "panel back",
        what: "to the panel before",
        footer: None,
    },
    Key {
        action: Action::Direction,
        codes: &[Char('d')],
        keys: "d",
        word: "direction",
        what: "the other direction's busiest path",
        footer: Some(4),
    },
    Key {
        action: Action::NextPath,
        codes: &[Char(']'), Char('n')],
        keys: "] n",
        word: "next path",
        what: "the next path",
        footer: None,
    },
    Key {
        action: Action::PreviousPath,
        codes: &[Char('['), Char('N')],
        keys: "[ N",
        word: "previous path",
        what: "the path before",
        footer: None,
    },
    Key {
        action: Action::Sort,
        codes: &[Char('s')],
        keys: "s",
        word: "sort",
        what: "sort the panel's rows by the next column; hops begin in the packet's order",
        footer: Some(3),
    },
    Key {
        action: Action::Groups,
        codes: &[Char('g')],
        keys: "g",
        word: "groups",
        what: "fold hops into cost groups, and back",
        footer: Some(5),
    },
    Key {
        action: Action::Filter,
        codes: &[Char('/')],
        keys: "/",
        word: "filter",
        what: "show only hops and flows whose line has these letters",
        footer: Some(6),
    },
    Key {
        action: Action::Pause,
        codes: &[Char('p'), Char(' ')],
        keys: "p Space",
        word: "pause",
        what: "hold the screen still; tracing goes on",
        footer: Some(7),
    },
    Key {
        action: Action::Reset,
        codes: &[Char('r')],
        keys: "r",
        word: "reset",
        what: "forget what was gathered so far",
        footer: Some(9),
    },
    Key {
        action: Action::Write,
        codes: &[Char('w')],
        keys: "w",
        word: "write",
        what: "write a report of what is on the screen to a file here",
        footer: Some(8),
    },
    Key {
        action: Action::Suspend,
        codes: &[],
        keys: "Ctrl-Z",
        word: "suspend",
        what: "back to the shell until fg; events are lost meanwhile, and counted",
        footer: None,
    },
    Key {
        action: Action::Help,
        codes: &[Char('?'), KeyCode::F(1)],
        keys: "?",
        word: "help",
        what: "this help",
        footer: Some(0),
    },
    Key {
        action: Action::Quit,
        codes: &[Char('q')],
        keys: "q Ctrl-C",
        word: "quit",
        what: "end the trace and print the summary",
        footer: Some(0),
    },
];

/// What a key does.
pub fn action(event: KeyEvent) -> Option<Action> {
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return match event.code {
            Char('c' | 'd') => Some(Action::Quit),
            Char('z') => Some(Action::Suspend),
            _ => None,
        };
    }
    KEYS.iter().find(|k| k.codes.contains(&event.code)).map(|k| k.action)
}

/// The footer's keys that fit into `width` columns, as (key, word), in the table's order.
pub fn footer(width: usize) -> Vec<(&'static str, &'static str)> {
    let mut keys: Vec<&Key> = KEYS.iter().filter(|k| k.footer.is_some()).collect();
    let first = |k: &Key| k.keys.split(' ').next().unwrap_or(k.keys);
    let size = |k: &Key| first(k).chars().count() + k.word.chars().count() + 3;
    // The last one needs no gap behind it.
    while keys.iter().map(|k| size(k)).sum::<usize>() > width + 2 {
        let Some(least) = keys.iter().enumerate().max_by_key(|(_, k)| k.footer) else { break };
        keys.remove(least.0);
    }
    keys.into_iter().map(|k| (first(k), k.word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things() {
        let mut seen = Vec::new();
        for key in KEYS {
            assert!(!key.what.is_empty() && !key.keys.is_empty());
            for code in key.codes {
                assert!(!seen.contains(&code), "{code:?}");
                seen.push(code);
            }
        }
    }

    #[test]
    fn help_and_quit_stay_in_the_narrowest_footer() {
        let words = |width| footer(width).into_iter().map(|(_, w)| w).collect::<Vec<_>>();
        assert_eq!(words(18), ["help", "quit"]);
        assert_eq!(words(200).len(), KEYS.iter().filter(|k| k.footer.is_some()).count());
        assert!(words(80).len() >= 8);
    }
}
