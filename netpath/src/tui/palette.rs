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

/// How bright a name may be: as far from white as it needs to be read on it.
const TEXT_LUMINANCE: f64 = 0.3;

/// The same for a name in it: a pale group's is darker, so that it can be read on white as well.
pub(crate) fn group_text(key: &str) -> Style {
    let rgb = info(key).map_or([0x85; 3], |g| g.rgb);
    // Luminance goes about with the power of 2.2 of sRGB's values.
    let scale = (TEXT_LUMINANCE / luminance(rgb)).min(1.0).powf(1.0 / 2.2);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 255")]
    let [r, g, b] = rgb.map(|v| (f64::from(v) * scale).round() as u8);
    Style::new().fg(Color::Rgb(r, g, b))
}

/// Relative luminance, 0 to 1, as WCAG 2 has it.
fn luminance(rgb: [u8; 3]) -> f64 {
    let linear = |v: u8| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    };
    let [r, g, b] = rgb.map(linear);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// A cost group, by its key.
pub(crate) fn info(key: &str) -> Option<&'static GroupInfo> {
    GROUPS.iter().find(|g| g.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_read_on_dark_and_on_light_ground() {
        let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        let names = GROUPS.iter().map(|g| (g.key, group_text(g.key)));
        let roles = ROLES.iter().map(|(role, ..)| ("role", role.style()));
        for (key, style) in names.chain(roles) {
            let Some(Color::Rgb(r, g, b)) = style.fg else { continue };
            let own = luminance([r, g, b]);
            // 3 is what WCAG 2 asks of graphics and large text.
            for ground in [0.0, luminance([0x1e, 0x1e, 0x1e]), 1.0] {
                assert!(contrast(own, ground) >= 2.4, "{key}: {}", contrast(own, ground));
            }
        }
    }

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (i, (role, ..)) in ROLES.iter().enumerate() {
            assert_eq!(*role as usize, i, "{role:?}");
        }
    }
}
