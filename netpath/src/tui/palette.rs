//! Colours: one row per role. Chosen to read on dark and on light ground, and never the only thing
//! that tells two things apart.

use netpath_common::group::{GROUPS, GroupInfo};
use ratatui::style::{Color, Modifier, Style};

/// What something on the screen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Figures and names.
    Text,
    /// What is only needed at a second look: units, frames, places.
    Dim,
    /// Titles of panels.
    Title,
    /// The frame and title of the panel that has the keys.
    Focus,
    /// The row under the cursor.
    Cursor,
    /// Work: time in which a CPU worked on the packet.
    Work,
    /// Waiting: time in a queue.
    Wait,
    /// What should not be: loss, drops, a trace that has stopped.
    Bad,
    /// What is as it should be.
    Good,
    /// A key in the footer and in help.
    Key,
}

/// One row per role, in its order.
const ROLES: &[(Role, Option<[u8; 3]>, Modifier)] = &[
    (Role::Text, None, Modifier::empty()),
    (Role::Dim, Some([0x85, 0x85, 0x85]), Modifier::empty()),
    (Role::Title, None, Modifier::BOLD),
    (Role::Focus, Some([0x4f, 0x9f, 0xd0]), Modifier::BOLD),
    (Role::Cursor, None, Modifier::BOLD),
    (Role::Work, Some([0x4f, 0x9f, 0xd0]), Modifier::empty()),
    (Role::Wait, Some([0xd6, 0x9a, 0x3c]), Modifier::empty()),
    (Role::Bad, Some([0xe0, 0x50, 0x50]), Modifier::BOLD),
    (Role::Good, Some([0x5f, 0xa8, 0x5f]), Modifier::empty()),
    (Role::Key, Some([0x4f, 0x9f, 0xd0]), Modifier::BOLD),
];

impl Role {
    pub(crate) fn style(self) -> Style {
        let (_, rgb, modifier) = ROLES[self as usize];
        let style = Style::new().add_modifier(modifier);
        rgb.map_or(style, |[r, g, b]| style.fg(Color::Rgb(r, g, b)))
    }
}

/// The colour of a cost group, by its key.
pub(crate) fn group(key: &str) -> Style {
    let [r, g, b] = info(key).map_or([0x85; 3], |g| g.rgb);
    Style::new().fg(Color::Rgb(r, g, b))
}

/// A cost group, by its key.
pub(crate) fn info(key: &str) -> Option<&'static GroupInfo> {
    GROUPS.iter().find(|g| g.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (i, (role, ..)) in ROLES.iter().enumerate() {
            assert_eq!(*role as usize, i, "{role:?}");
        }
    }
}
