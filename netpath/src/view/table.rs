//! Tables for a terminal: columns that line up, two spaces in from the left.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, presets};

use super::summary::Style;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A table that is filled row by row.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Row>,
    /// Rows that stand out.
    bold: Vec<usize>,
}

impl Table {
    /// A table with these columns; titles are a row like any other.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let mut table = Self {
            columns: columns.iter().map(|c| c.1).collect(),
            rows: Vec::new(),
            bold: Vec::new(),
        };
        table.row(columns.iter().map(|c| c.0.to_owned()));
        table
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().zip(&self.columns).map(|(text, align)| {
            Cell::new(text).set_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            })
        });
        self.rows.push(Row::from(cells.collect::<Vec<_>>()));
    }

    /// A row that stands out where there is colour.
    pub fn bold_row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.bold.push(self.rows.len());
        self.row(cells);
    }

    /// The lines, each with its end.
    pub fn render(self, style: Style) -> String {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .add_rows(self.rows);
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if i == 0 { 2 } else { 0 }, 1));
        }
        let mut out = String::new();
        for (i, line) in table.lines().enumerate() {
            let line = line.trim_end();
            let line = match () {
                () if i == 0 => style.dim(line),
                () if self.bold.contains(&i) => style.bold(line),
                () => line.to_owned(),
            };
            out += &line;
            out.push('\n');
        }
        out
    }
}
