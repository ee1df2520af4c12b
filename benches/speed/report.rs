//! The table of figures, as it stands in `docs/performance.md`.

use std::fmt::Display;

/// What a figure is held against.
pub enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// Told for what it explains.
    None,
}

#[derive(Default)]
pub struct Report {
    missed: usize,
}

impl Report {
    pub fn section(&mut self, title: &str) {
        println!("\n### {title}\n\n| what | figure | bar | |\n|---|---:|---:|---|");
    }

    /// One line: `figure` in `unit`, with `digits` behind the point.
    pub fn line(&mut self, what: impl Display, figure: f64, digits: usize, unit: &str, bar: Bar) {
        let (limit, kept) = match bar {
            Bar::AtMost(limit) => (format!("≤ {limit}{unit}"), Some(figure <= limit)),
            Bar::AtLeast(limit) => (format!("≥ {limit}{unit}"), Some(figure >= limit)),
            Bar::None => (String::new(), None),
        };
        let verdict = kept.map_or("", |kept| if kept { "kept" } else { "**missed**" });
        self.missed += usize::from(kept == Some(false));
        println!("| {what} | {figure:.digits$}{unit} | {limit} | {verdict} |");
    }

    pub fn note(&mut self, text: impl Display) {
        println!("\n{text}");
    }

    pub fn end(&self) {
        match self.missed {
            0 => println!("\nEvery bar is kept."),
            missed => println!("\nBars missed: {missed}."),
        }
    }
}
