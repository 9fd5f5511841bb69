//! A terminal's screen as SVG. Block and line glyphs become shapes, so that they join whatever the
//! viewer's font is; every other run of text is stretched to its columns.

use std::fmt::Write as _;

/// A cell, in user units.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
const FONT: f64 = 14.0;
const MARGIN: f64 = 14.0;
/// Ground, and text that has no colour of its own.
const GROUND: &str = "#14171c";
const TEXT: &str = "#d5d9e0";

/// The picture.
pub(crate) fn of(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let (w, h) =
        (f64::from(columns) * WIDTH + 2.0 * MARGIN, f64::from(rows) * HEIGHT + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" \
         font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" \
         font-size=\"{FONT}\" shape-rendering=\"crispEdges\">\n<title>netpath's live view of a container's NAT path</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"{GROUND}\"/>\n"
    );
    for row in 0..rows {
        let mut run = Run::default();
        for column in 0..columns {
            let Some(cell) = screen.cell(row, column) else { continue };
            let glyph = cell.contents().chars().next().unwrap_or(' ');
            let style = Style::of(cell);
            let (x, y) = (MARGIN + f64::from(column) * WIDTH, MARGIN + f64::from(row) * HEIGHT);
            if let Some(ground) = &style.ground {
                rect(&mut out, [x, y, WIDTH, HEIGHT], ground, 1.0);
            }
            if glyph == ' ' || shape(&mut out, glyph, x, y, &style.colour) {
                run.end(&mut out);
                continue;
            }
            if !run.text.is_empty() && run.style != style {
                run.end(&mut out);
            }
            if run.text.is_empty() {
                (run.x, run.y, run.style) = (x, y, style);
            }
            run.text.push(glyph);
        }
        run.end(&mut out);
    }
    out + "</svg>\n"
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Style {
    colour: String,
    ground: Option<String>,
    bold: bool,
    underlined: bool,
}

impl Style {
    fn of(cell: &vt100::Cell) -> Self {
        let name = |colour: vt100::Color| match colour {
            vt100::Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
            vt100::Color::Default | vt100::Color::Idx(_) => None,
        };
        let colour = name(cell.fgcolor()).unwrap_or_else(|| TEXT.to_owned());
        let ground = name(cell.bgcolor());
        let (colour, ground) = if cell.inverse() {
            (ground.unwrap_or_else(|| GROUND.to_owned()), Some(colour))
        } else {
            (colour, ground)
        };
        Self { colour, ground, bold: cell.bold(), underlined: cell.underline() }
    }
}

/// Text of one style in one row, without gaps.
#[derive(Default)]
struct Run {
    x: f64,
    y: f64,
    text: String,
    style: Style,
}

impl Run {
    fn end(&mut self, out: &mut String) {
        if self.text.is_empty() {
            return;
        }
        let columns = self.text.chars().count() as f64;
        let text = self.text.replace('&', "&amp;").replace('<', "&lt;");
        let weight = if self.style.bold { " font-weight=\"bold\"" } else { "" };
        let line = if self.style.underlined { " text-decoration=\"underline\"" } else { "" };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
             fill=\"{}\"{weight}{line}>{text}</text>",
            self.x,
            self.y + HEIGHT * 0.72,
            columns * WIDTH,
            self.style.colour,
        );
        self.text.clear();
    }
}

fn rect(out: &mut String, [x, y, w, h]: [f64; 4], colour: &str, opacity: f64) {
    let opacity = if opacity < 1.0 { format!(" opacity=\"{opacity}\"") } else { String::new() };
    let _ = writeln!(
        out,
        "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"{colour}\"{opacity}/>"
    );
}

/// Draws a glyph that is a shape; whether it is one.
fn shape(out: &mut String, glyph: char, x: f64, y: f64, colour: &str) -> bool {
    let eighths = |from: char| f64::from(u32::from(glyph) - u32::from(from)) / 8.0;
    let (cell, opacity) = match glyph {
        // Blocks that grow from the bottom: ▁ is one eighth.
        '▁'..='█' => {
            let part = eighths('▁') + 0.125;
            ([x, y + HEIGHT * (1.0 - part), WIDTH, HEIGHT * part], 1.0)
        }
        // Blocks that grow from the left: ▉ is seven eighths.
        '▉'..='▏' => ([x, y + 3.0, WIDTH * (0.875 - eighths('▉')), HEIGHT - 6.0], 1.0),
        '░' | '▒' => {
            // Stripes, so that waiting differs from work in grey as well.
            let width = if glyph == '░' { WIDTH / 6.0 } else { WIDTH / 4.0 };
            for stripe in 0..3 {
                let x = x + f64::from(stripe) * WIDTH / 3.0;
                rect(out, [x, y + 3.0, width, HEIGHT - 6.0], colour, 0.9);
            }
            return true;
        }
        '▓' => ([x, y + 3.0, WIDTH, HEIGHT - 6.0], 0.85),
        '─' => ([x, y + HEIGHT / 2.0 - 0.5, WIDTH, 1.0], 0.7),
        '━' => ([x, y + HEIGHT / 2.0 - 1.0, WIDTH, 2.0], 1.0),
        '┄' => ([x + 1.5, y + HEIGHT / 2.0 - 0.5, WIDTH - 3.0, 1.0], 1.0),
        _ => return false,
    };
    rect(out, cell, colour, opacity);
    true
}
