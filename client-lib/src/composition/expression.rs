//! The composition expressions of the `adapters` library: `Stack(lang, Fuse(a, b))`.

use std::str::FromStr;

use super::{Composition, rules};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 8;

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
    /// A block without one of its options, or with one too many.
    #[error("{block}: {reason}")]
    Option {
        /// The block.
        block: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A block where it can't stand.
    #[error("{inner} can't stand inside {outer}; these can: {allowed}")]
    Nesting {
        /// The block around.
        outer: &'static str,
        /// The block inside.
        inner: &'static str,
        /// What can stand there.
        allowed: String,
    },
    /// A block in a block in a block.
    #[error("{inner} inside a nested {outer} is too deep: there only names and Stack can stand")]
    TooDeep {
        /// The block around.
        outer: &'static str,
        /// The block inside.
        inner: &'static str,
    },
    /// Too many blocks inside blocks.
    #[error("the composition is nested deeper than {MAX_DEPTH} blocks")]
    Depth,
}

impl FromStr for Composition {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let mut parser = Parser { text, at: 0 };
        let composition = parser.composition(0)?;
        if parser.peek().is_some() {
            return Err(parser.expected("the end"));
        }
        rules::check(&composition)?;
        Ok(composition)
    }
}

/// The value of a keyword argument.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// `splits=4`
    Number(f64),
    /// `splits=[4, 7]`
    Numbers(Vec<f64>),
    /// `name=both`, `normalize_weights=False`
    Word(String),
}

/// Members and keyword arguments of a block.
#[derive(Default)]
struct Arguments {
    children: Vec<Composition>,
    options: Vec<(String, Value)>,
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

    /// A name, with or without Python's quotes.
    fn word(&mut self) -> &str {
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            let rest = &self.text[self.at + 1..];
            if let Some(end) = rest.find(quote) {
                self.at += end + 2;
                return &rest[..end];
            }
        }
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
            return Ok(if name == "None" { Composition::Nothing } else { Composition::Single(name) });
        }
        let arguments = self.arguments(depth)?;
        if arguments.children.is_empty() {
            return Err(self.expected("a member"));
        }
        build(&name, arguments)
    }

    fn arguments(&mut self, depth: usize) -> Result<Arguments, ExpressionError> {
        let mut arguments = Arguments::default();
        loop {
            if self.take(')') {
                return Ok(arguments);
            }
            let start = self.at;
            let word = self.word().to_owned();
            if self.take('=') {
                let value = self.value()?;
                arguments.options.push((word, value));
            } else {
                self.at = start;
                arguments.children.push(self.composition(depth + 1)?);
            }
            if !self.take(',') && self.peek() != Some(')') {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn value(&mut self) -> Result<Value, ExpressionError> {
        if self.take('[') {
            let mut numbers = Vec::new();
            while !self.take(']') {
                numbers.push(self.number()?);
                if !self.take(',') && self.peek() != Some(']') {
                    return Err(self.expected("`,` or `]`"));
                }
            }
            return Ok(Value::Numbers(numbers));
        }
        let start = self.at;
        let word = self.word().to_owned();
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Number(number)),
            _ if word.is_empty() => {
                self.at = start;
                Err(self.expected("a value"))
            }
            _ => Ok(Value::Word(word)),
        }
    }

    fn number(&mut self) -> Result<f64, ExpressionError> {
        let word = self.word();
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.expected("a number")),
        }
    }
}

/// A block from its name and arguments.
fn build(name: &str, arguments: Arguments) -> Result<Composition, ExpressionError> {
    let Arguments { children, mut options } = arguments;
    let mut take = |key: &str| {
        let at = options.iter().position(|(k, _)| k == key)?;
        Some(options.remove(at).1)
    };
    let block = match name {
        "Stack" => Composition::Stack(children),
        "Parallel" => Composition::Parallel(children),
        "MultiTask" => Composition::MultiTask(children),
        "Fuse" => {
            let name = match take("name") {
                None => None,
                Some(Value::Word(name)) => Some(name),
                Some(_) => return Err(wrong("Fuse", "`name` is not a name")),
            };
            Composition::Fuse { children, name }
        }
        "Split" => {
            let splits = sizes("Split", "splits", take("splits"), children.len())?;
            Composition::Split { children, splits }
        }
        "BatchSplit" => {
            let batch_sizes = sizes("BatchSplit", "batch_sizes", take("batch_sizes"), children.len())?;
            Composition::BatchSplit { children, batch_sizes }
        }
        "Average" => {
            let (given, normalize) = (take("weights"), take("normalize_weights"));
            let weights = weights(given, normalize, children.len())?;
            Composition::Average { children, weights }
        }
        _ => return Err(ExpressionError::Block(name.to_owned())),
    };
    match options.first() {
        None => Ok(block),
        Some((option, _)) => Err(wrong(block.block(), format!("has no option `{option}`"))),
    }
}

fn wrong(block: &'static str, reason: impl Into<String>) -> ExpressionError {
    ExpressionError::Option { block, reason: reason.into() }
}

/// One number for all children, or one for each.
fn sizes(
    block: &'static str,
    key: &str,
    value: Option<Value>,
    children: usize,
) -> Result<Vec<usize>, ExpressionError> {
    let numbers = match value {
        Some(Value::Numbers(numbers)) => numbers,
        Some(Value::Number(number)) => vec![number; children],
        Some(Value::Word(word)) => return Err(wrong(block, format!("`{key}` is `{word}`, not numbers"))),
        None => return Err(wrong(block, format!("`{key}` is missing, as in `{key}=[1, 2]`"))),
    };
    if numbers.len() != children {
        return Err(wrong(block, format!("{} `{key}` for {children} members", numbers.len())));
    }
    let whole = |n: &f64| (n.fract() == 0.0 && (0.0..1e9).contains(n)).then_some(*n as usize);
    let sizes: Option<Vec<usize>> = numbers.iter().map(whole).collect();
    sizes.ok_or_else(|| wrong(block, format!("`{key}` must be whole numbers")))
}

/// The weights of an average: the same for all by default, and normalised to a sum
/// of one unless `normalize_weights=False`.
fn weights(
    given: Option<Value>,
    normalize: Option<Value>,
    children: usize,
) -> Result<Vec<f64>, ExpressionError> {
    let normalize = match normalize {
        None => true,
        Some(Value::Word(word)) if word == "True" || word == "true" => true,
        Some(Value::Word(word)) if word == "False" || word == "false" => false,
        Some(_) => return Err(wrong("Average", "`normalize_weights` is True or False")),
    };
    let weights = match given {
        None => return Ok(vec![1.0 / children as f64; children]),
        Some(Value::Numbers(weights)) if weights.len() == children => weights,
        Some(Value::Numbers(weights)) => {
            return Err(wrong("Average", format!("{} weights for {children} members", weights.len())));
        }
        Some(_) => return Err(wrong("Average", "`weights` is a list of numbers")),
    };
    if !normalize {
        return Ok(weights);
    }
    let sum: f64 = weights.iter().sum();
    if sum.abs() < 1e-12 {
        return Err(wrong("Average", "the weights sum to zero; add `normalize_weights=False`"));
    }
    Ok(weights.into_iter().map(|w| w / sum).collect())
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
            "Stack(lang, BatchSplit(a, None, batch_sizes=[2, 1]))",
            "Fuse(a, b, name=both)",
            "Parallel(a, Stack(b, c))",
        ] {
            assert_eq!(text.parse::<Composition>().map(|c| c.to_string()).as_deref(), Ok(text));
        }
        let nested: Composition = " Stack( a ,b) ".parse().expect("white space is free");
        assert_eq!((nested.names(), nested.last()), (vec!["a", "b"], Some("b")));
        let python: Composition = "Average(\"a\", 'b', weights=[1, 3])".parse().expect("quotes are read");
        assert_eq!(python.to_string(), "Average(a, b, weights=[0.25, 0.75])");
        let one: Composition = "BatchSplit(a, b, batch_sizes=2)".parse().expect("one size for all");
        assert_eq!(one.to_string(), "BatchSplit(a, b, batch_sizes=[2, 2])");
        let fused: Composition = "Stack(l, Fuse(a, Stack(b, c)))".parse().expect("reads");
        assert_eq!(fused.fusions(), ["a,c"]);
    }

    #[test]
    fn mistakes_are_located() {
        let message = |text: &str| text.parse::<Composition>().expect_err(text).to_string();
        assert_eq!(message("Stack(a"), "`Stack(a`: `,` or `)` expected at character 8");
        assert_eq!(message("Stack()"), "`Stack()`: a member expected at character 8");
        assert_eq!(message("a b"), "`a b`: the end expected at character 3");
        assert!(message("Pile(a, b)").starts_with("`Pile` is not a composition block"));
        assert_eq!(message(&"Stack(".repeat(20)), "the composition is nested deeper than 8 blocks");
        assert_eq!(message("Split(a, b)"), "Split: `splits` is missing, as in `splits=[1, 2]`");
        assert_eq!(message("Split(a, b, splits=[1])"), "Split: 1 `splits` for 2 members");
        assert_eq!(message("Stack(a, weights=[1])"), "Stack: has no option `weights`");
        assert_eq!(
            message("Fuse(a, Parallel(b, c))"),
            "Parallel can't stand inside Fuse; these can: a name, Stack"
        );
        assert_eq!(
            message("Stack(a, Split(b, Average(c, d), splits=[1, 2]))"),
            "Average inside a nested Split is too deep: there only names and Stack can stand"
        );
    }
}
