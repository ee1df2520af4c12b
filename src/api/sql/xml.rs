//! Result sets of the client's `--xml`, as they arrive.
//!
//! No XML reader: the client writes control characters and one document after the other, which XML does not allow. It
//! escapes `<`, `>`, `&` and `"` wherever they are data, so that a tag is what is between `<` and `>`.

/// A value; `None` is NULL.
pub type Value = Option<String>;

/// What the output goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The column names of a result set, before its first row. A set without rows does not tell them.
    Columns(Vec<String>),
    Row(Vec<Value>),
    EndOfSet,
}

/// Takes the output in pieces of any size. Holds no more than one row.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// What of `bytes` has been read.
    at: usize,
    /// No `<` or `>` that is looked for is between `at` and here.
    searched: usize,
    columns: Vec<String>,
    row: Vec<Value>,
    columns_told: bool,
    in_field: bool,
    ready: std::collections::VecDeque<Item>,
}

impl Reader {
    pub fn push(&mut self, bytes: &[u8]) {
        // What was read goes as soon as it is most of what is there.
        if self.at > self.bytes.len() / 2 {
            self.bytes.drain(..self.at);
            self.searched -= self.at;
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next item, if it is all there.
    pub fn take(&mut self) -> Option<Item> {
        while self.ready.is_empty() {
            self.step()?;
        }
        self.ready.pop_front()
    }

    /// Reads up to the end of the next tag.
    fn step(&mut self) -> Option<()> {
        let Some(open) = find(&self.bytes, self.searched.max(self.at), b'<') else {
            self.searched = self.bytes.len();
            return None;
        };
        let Some(close) = find(&self.bytes, open, b'>') else {
            self.searched = open;
            return None;
        };
        let text = self.in_field.then(|| unescaped(&self.bytes[self.at..open]));
        let tag = String::from_utf8_lossy(&self.bytes[open + 1..close]).into_owned();
        self.at = close + 1;
        self.searched = self.at;
        self.tag(&tag, text);
        Some(())
    }

    fn tag(&mut self, tag: &str, text: Option<String>) {
        if let Some(field) = tag.strip_prefix("field ") {
            if !self.columns_told {
                self.columns.push(name(field));
            }
            if field.ends_with('/') {
                self.row.push(None);
            } else {
                self.in_field = true;
            }
            return;
        }
        match tag {
            "/field" => {
                self.in_field = false;
                self.row.push(Some(text.unwrap_or_default()));
            }
            "/row" => {
                if !self.columns_told {
                    self.columns_told = true;
                    self.ready.push_back(Item::Columns(std::mem::take(&mut self.columns)));
                }
                self.ready.push_back(Item::Row(std::mem::take(&mut self.row)));
            }
            "/resultset" => {
                self.columns_told = false;
                self.columns.clear();
                self.ready.push_back(Item::EndOfSet);
            }
            // The head of a document, of a result set, of a row.
            _ => {}
        }
    }
}

fn find(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    bytes[from..].iter().position(|byte| *byte == wanted).map(|offset| from + offset)
}

/// `name="…"`, and perhaps more behind it.
fn name(attributes: &str) -> String {
    let value = attributes.strip_prefix("name=\"").and_then(|rest| rest.split('"').next());
    unescaped(value.unwrap_or_default().as_bytes())
}

fn unescaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains('&') {
        return text.into_owned();
    }
    // `&amp;` last, or `&amp;lt;` would be read twice.
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(pieces: &[&[u8]]) -> Vec<Item> {
        let mut reader = Reader::default();
        let mut items = Vec::new();
        for piece in pieces {
            reader.push(piece);
            items.extend(std::iter::from_fn(|| reader.take()));
        }
        items
    }

    /// As 10.11 and 11.8 print it.
    const PRINTED: &str = "<?xml version=\"1.0\"?>\n\n<resultset statement=\"select 1 &lt; 2\n\" \
        xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n  <row>\n\t<field name=\"a\" xsi:nil=\"true\" />\n\t\
        <field name=\"a\">NULL</field>\n\t<field name=\"1 &lt; &quot;2&quot;\">l\n\u{1}&amp;lt; \u{e9}</field>\n\t<field name=\"\"></field>\n  \
        </row>\n  <row>\n\t<field name=\"a\">2</field>\n\t<field name=\"a\" xsi:nil=\"true\" />\n\t<field name=\"1\">&gt;&amp;</field>\n\t\
        <field name=\"\">x</field>\n  </row>\n</resultset>\n<?xml version=\"1.0\"?>\n\n\
        <resultset statement=\"select 1 from dual where 0\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"></resultset>\n";

    fn expected() -> Vec<Item> {
        let some = |text: &str| Some(text.to_owned());
        let columns = ["a", "a", "1 < \"2\"", ""].map(str::to_owned).to_vec();
        vec![
            Item::Columns(columns),
            Item::Row(vec![None, some("NULL"), some("l\n\u{1}&lt; \u{e9}"), some("")]),
            Item::Row(vec![some("2"), None, some(">&"), some("x")]),
            Item::EndOfSet,
            Item::EndOfSet,
        ]
    }

    #[test]
    fn null_order_and_every_character_survive() {
        assert_eq!(items(&[PRINTED.as_bytes()]), expected());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_output_is_cut(cuts in prop::collection::vec(0..PRINTED.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&PRINTED.as_bytes()[from..cut]);
                from = cut;
            }
            pieces.push(&PRINTED.as_bytes()[from..]);
            prop_assert_eq!(items(&pieces), expected());
        }
    }

    #[test]
    fn memory_holds_one_row() {
        let mut reader = Reader::default();
        reader.push(b"<resultset>");
        for _ in 0..10_000 {
            reader.push(b"<row><field name=\"a\">0123456789</field></row>");
            while reader.take().is_some() {}
        }
        assert!(reader.bytes.capacity() < 4096, "{}", reader.bytes.capacity());
    }
}
