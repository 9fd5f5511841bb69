//! What a terminal can show. Panels draw in full colour and Unicode; here a finished screen is
//! brought down to what this terminal has.
//!
//! In: the environment, `--color`, `--ascii`; a drawn buffer. Out: the same buffer with fewer
//! colours and glyphs.

use ratatui::{buffer::Buffer, style::Color};

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None: bold, reversed and underlined text is left.
    None,
    /// The eight ANSI colours and their bright forms.
    Sixteen,
    /// The xterm palette.
    Palette,
    /// 24 bits.
    True,
}

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub depth: Depth,
    pub ascii: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { depth: Depth::True, ascii: false }
    }
}

impl Look {
    /// What the environment says of the terminal; `var` reads a variable of it.
    pub fn of_environment(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let colour = set("COLORTERM").unwrap_or_default();
        let depth = if set("NO_COLOR").is_some() || term == "dumb" {
            Depth::None
        } else if colour == "truecolor" || colour == "24bit" || term.ends_with("-direct") {
            Depth::True
        } else if term.contains("256color") || term.starts_with("tmux") {
            Depth::Palette
        } else {
            Depth::Sixteen
        };
        // The first of these that is set decides, as everywhere. Where none is, the locale is C:
        // but terminals without a locale, as in containers, show UTF-8 all the same.
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let utf8 = locale.is_none_or(|l| {
            let l = l.to_ascii_lowercase();
            l.contains("utf-8") || l.contains("utf8") || l == "c" || l == "posix"
        });
        Self { depth, ascii: !utf8 || term == "linux" }
    }

    /// Brings a drawn screen down to this.
    pub fn reduce(self, buffer: &mut Buffer) {
        if self == Self::default() {
            return;
        }
        for cell in &mut buffer.content {
            cell.fg = self.colour(cell.fg);
            cell.bg = self.colour(cell.bg);
            if self.ascii && !cell.symbol().is_ascii() {
                let plain = cell.symbol().chars().next().and_then(plain);
                cell.set_char(plain.unwrap_or('?'));
            }
        }
    }

    fn colour(self, colour: Color) -> Color {
        let Color::Rgb(r, g, b) = colour else { return colour };
        match self.depth {
            Depth::None => Color::Reset,
            Depth::Sixteen => sixteen([r, g, b]),
            Depth::Palette => Color::Indexed(palette([r, g, b])),
            Depth::True => colour,
        }
    }
}

/// What stands for a glyph where there is only ASCII: whole runs of characters, one by one.
const GLYPHS: &[(&str, &str)] = &[
    ("─━┄┈│┃┌┐└┘├┤┬┴┼╌", "----||+++++++++-"),
    ("█▉▊▋▌▍▎▏", "#####|||"),
    ("▁▂▃▄▅▆▇", "_..:::#"),
    ("░▒▓", ":+#"),
    ("▶▷▸▹◀▾▼▲▴›‹→←⇒⇄↑↓", ">>>><vv^^><><>=^v"),
    ("·…‥•●○■□◆", "-~.**o#o*"),
    ("µμ±≈×–—−‘’“”⏎", "uu~~x---''\"\"<"),
    ("✓✗⚠⏸", "+x!="),
];

/// The ASCII character for a glyph.
pub(super) fn plain(glyph: char) -> Option<char> {
    GLYPHS.iter().find_map(|(from, to)| {
        let at = from.chars().position(|c| c == glyph)?;
        to.chars().nth(at)
    })
}

/// The nearest colour of xterm's cube or greys.
fn palette(rgb: [u8; 3]) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let nearest = |v: u8| (0..6).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(v)).unwrap_or(0);
    let [r, g, b] = rgb.map(nearest);
    let cube = (16 + 36 * r + 6 * g + b, [r, g, b].map(|i| LEVELS[usize::from(i)]));
    let mean = rgb.iter().map(|v| u16::from(*v)).sum::<u16>() / 3;
    let step = (mean.saturating_sub(3) / 10).min(23);
    let level = u8::try_from(8 + 10 * step).unwrap_or(u8::MAX);
    let grey = (232 + u8::try_from(step).unwrap_or(23), [level; 3]);
    if distance(rgb, grey.1) < distance(rgb, cube.1) { grey.0 } else { cube.0 }
}

/// The nearest ANSI colour, by hue: the terminal has its own idea of each.
fn sixteen(rgb: [u8; 3]) -> Color {
    const ANSI: &[(Color, [u8; 3])] = &[
        (Color::DarkGray, [0x70, 0x70, 0x70]),
        (Color::Gray, [0xc0, 0xc0, 0xc0]),
        (Color::Red, [0xc0, 0x40, 0x40]),
        (Color::Green, [0x60, 0xa0, 0x50]),
        (Color::Yellow, [0xd8, 0x98, 0x48]),
        (Color::Blue, [0x4c, 0x78, 0xb0]),
        (Color::Magenta, [0xa0, 0x80, 0xc0]),
        (Color::Cyan, [0x80, 0xb8, 0xd0]),
    ];
    ANSI.iter().min_by_key(|(_, c)| distance(rgb, *c)).map_or(Color::Reset, |(c, _)| *c)
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(vars: &[(&str, &str)]) -> Look {
        Look::of_environment(|name| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn the_environment_says_what_there_is() {
        assert_eq!(look(&[("TERM", "xterm-256color")]).depth, Depth::Palette);
        assert_eq!(look(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]).depth, Depth::True);
        assert_eq!(look(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]).depth, Depth::None);
        assert_eq!(look(&[("TERM", "vt220")]).depth, Depth::Sixteen);
        assert!(look(&[("TERM", "xterm"), ("LANG", "de_DE.ISO-8859-1")]).ascii);
        assert!(!look(&[("TERM", "xterm"), ("LC_ALL", "C.UTF-8"), ("LANG", "x")]).ascii);
        assert!(look(&[("TERM", "linux"), ("LANG", "C.UTF-8")]).ascii);
    }

    #[test]
    fn every_glyph_has_an_ascii_character() {
        for (from, to) in GLYPHS {
            assert_eq!(from.chars().count(), to.chars().count(), "{from}");
            assert!(to.is_ascii(), "{to}");
        }
        let all: String = "█░─µ→▼…".chars().filter_map(plain).collect();
        assert_eq!(all, "#:-u>v~");
    }

    #[test]
    fn colours_come_near() {
        assert_eq!(palette([255, 0, 0]), 196);
        assert_eq!(palette([0x80, 0x80, 0x80]), 244);
        assert_eq!(sixteen([0xd6, 0x40, 0x40]), Color::Red);
    }
}
