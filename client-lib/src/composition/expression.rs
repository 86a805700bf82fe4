//! The composition expressions of the `adapters` library: `Stack(lang, Fuse(a, b))`.

use std::{fmt, str::FromStr};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 8;

/// Which adapters work together, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum Composition {
    /// One adapter.
    Single(String),
    /// One after the other.
    Stack(Vec<Self>),
    /// A block that is written down but not computed in this version.
    Other {
        /// `Fuse`, `Split`, `BatchSplit`, `Parallel`, `Average` or `MultiTask`.
        block: String,
        /// Its members.
        children: Vec<Self>,
        /// Its keyword arguments, such as `weights=[0.3, 0.7]`.
        options: Vec<(String, Vec<f64>)>,
    },
}

/// Why an expression can't be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    /// Something else was expected.
    #[error("`{text}`: {expected} expected at character {at}")]
    Syntax {
        /// The expression.
        text: String,
        /// What was expected.
        expected: &'static str,
        /// Where, counted from 1.
        at: usize,
    },
    /// Not a composition block.
    #[error(
        "`{0}` is not a composition block; these are: Stack, Fuse, Split, BatchSplit, Parallel, Average, MultiTask"
    )]
    Block(String),
    /// Too many blocks inside blocks.
    #[error("the composition is nested deeper than {MAX_DEPTH} blocks")]
    Depth,
}

impl Composition {
    /// The names of all members, in order.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Single(name) => vec![name],
            Self::Stack(children) | Self::Other { children, .. } => {
                children.iter().flat_map(Self::names).collect()
            }
        }
    }

    /// The member whose head predicts: the last one of the outermost stack.
    pub fn last(&self) -> Option<&str> {
        match self {
            Self::Single(name) => Some(name),
            Self::Stack(children) => children.last()?.last(),
            Self::Other { .. } => None,
        }
    }
}

impl fmt::Display for Composition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (block, children, options) = match self {
            Self::Single(name) => return f.write_str(name),
            Self::Stack(children) => ("Stack", children, &[][..]),
            Self::Other { block, children, options } => (block.as_str(), children, options.as_slice()),
        };
        let mut parts: Vec<String> = children.iter().map(ToString::to_string).collect();
        parts.extend(options.iter().map(|(key, values)| {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("{key}=[{}]", values.join(", "))
        }));
        write!(f, "{block}({})", parts.join(", "))
    }
}

impl FromStr for Composition {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let mut parser = Parser { text, at: 0 };
        let composition = parser.composition(0)?;
        if parser.peek().is_some() {
            return Err(parser.expected("the end"));
        }
        Ok(composition)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn expected(&self, expected: &'static str) -> ExpressionError {
        let at = self.text[..self.at].chars().count() + 1;
        ExpressionError::Syntax { text: self.text.to_owned(), expected, at }
    }

    fn word(&mut self) -> &str {
        self.peek();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| c.is_whitespace() || "(),=[]".contains(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn composition(&mut self, depth: usize) -> Result<Composition, ExpressionError> {
        if depth > MAX_DEPTH {
            return Err(ExpressionError::Depth);
        }
        let name = self.word().to_owned();
        if name.is_empty() {
            return Err(self.expected("a name"));
        }
        if !self.take('(') {
            return Ok(Composition::Single(name));
        }
        let (children, options) = self.arguments(depth)?;
        if children.is_empty() {
            return Err(self.expected("a member"));
        }
        match name.as_str() {
            "Stack" if options.is_empty() => Ok(Composition::Stack(children)),
            "Stack" => Err(self.expected("no option for Stack")),
            "Fuse" | "Split" | "BatchSplit" | "Parallel" | "Average" | "MultiTask" => {
                Ok(Composition::Other { block: name, children, options })
            }
            _ => Err(ExpressionError::Block(name)),
        }
    }

    #[expect(clippy::type_complexity, reason = "members and options of one block, taken apart at once")]
    fn arguments(
        &mut self,
        depth: usize,
    ) -> Result<(Vec<Composition>, Vec<(String, Vec<f64>)>), ExpressionError> {
        let (mut children, mut options) = (Vec::new(), Vec::new());
        loop {
            if self.take(')') {
                return Ok((children, options));
            }
            let start = self.at;
            let word = self.word().to_owned();
            if self.take('=') {
                options.push((word, self.numbers()?));
            } else {
                self.at = start;
                children.push(self.composition(depth + 1)?);
            }
            if !self.take(',') && self.peek() != Some(')') {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn numbers(&mut self) -> Result<Vec<f64>, ExpressionError> {
        if !self.take('[') {
            return self.number().map(|n| vec![n]);
        }
        let mut numbers = Vec::new();
        while !self.take(']') {
            numbers.push(self.number()?);
            if !self.take(',') && self.peek() != Some(']') {
                return Err(self.expected("`,` or `]`"));
            }
        }
        Ok(numbers)
    }

    fn number(&mut self) -> Result<f64, ExpressionError> {
        let word = self.word();
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.expected("a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_writes_is_read_and_printed_back() {
        for text in [
            "a",
            "Stack(lang, Fuse(a, b))",
            "BatchSplit(a, b, batch_sizes=[1, 2])",
            "Split(a, b, splits=[4, 7])",
            "Average(a, b, weights=[0.3, 0.7])",
        ] {
            assert_eq!(text.parse::<Composition>().map(|c| c.to_string()).as_deref(), Ok(text));
        }
        let nested: Composition = " Stack( a ,b) ".parse().expect("white space is free");
        assert_eq!((nested.names(), nested.last()), (vec!["a", "b"], Some("b")));
    }

    #[test]
    fn mistakes_are_located() {
        let message = |text: &str| text.parse::<Composition>().expect_err(text).to_string();
        assert_eq!(message("Stack(a"), "`Stack(a`: `,` or `)` expected at character 8");
        assert_eq!(message("Stack()"), "`Stack()`: a member expected at character 8");
        assert_eq!(message("a b"), "`a b`: the end expected at character 3");
        assert!(message("Pile(a, b)").starts_with("`Pile` is not a composition block"));
        assert_eq!(message(&"Stack(".repeat(20)), "the composition is nested deeper than 8 blocks");
    }
}
