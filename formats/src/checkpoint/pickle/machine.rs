//! The stack machine that a pickle is a program for, cut down to what state dicts need.

use super::{
    PickleError,
    cursor::Cursor,
    global::Global,
    heap::{Heap, Value},
    opcode as op,
};

/// Deepest stack. Python's pickler writes containers in batches of 1000 items.
const MAX_STACK: usize = 1 << 16;
/// Newest protocol there is.
const MAX_PROTOCOL: u8 = 5;

/// Interprets one pickle. Returns the value it ends with and the objects it made;
/// `code` then stands behind it. Takes time and memory linear in the pickle's length.
pub(super) fn run<'a>(code: &mut Cursor<'a>) -> Result<(Value<'a>, Heap<'a>), PickleError> {
    let mut machine =
        Machine { code, stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), heap: Heap::default() };
    loop {
        let at = machine.code.at();
        match machine.code.u8()? {
            op::STOP => {
                let top = machine.pop()?;
                return Ok((top, machine.heap));
            }
            opcode => machine.step(opcode, at)?,
        }
    }
}

/// A pickle that is being interpreted.
pub(super) struct Machine<'a, 'c> {
    code: &'c mut Cursor<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at each MARK.
    marks: Vec<usize>,
    memo: Vec<Value<'a>>,
    pub(super) heap: Heap<'a>,
}

impl<'a> Machine<'a, '_> {
    fn step(&mut self, opcode: u8, at: usize) -> Result<(), PickleError> {
        match opcode {
            op::PROTO => match self.code.u8()? {
                0..=MAX_PROTOCOL => Ok(()),
                other => {
                    Err(self.malformed(format!("its protocol is {other}; at most {MAX_PROTOCOL} is read")))
                }
            },
            // A hint for buffered readers; what lies in the frame is read as it comes.
            op::FRAME => self.code.u64().map(drop),
            op::MARK => {
                self.check_depth()?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.memoize(opcode),
            op::BINGET | op::LONG_BINGET => {
                let place = if opcode == op::BINGET { self.code.u8()?.into() } else { self.code.u32()? };
                let value = self.memo.get(place as usize).copied();
                self.push(value.ok_or_else(|| self.malformed(format!("it recalls {place}, never stored")))?)
            }
            op::APPEND | op::APPENDS | op::SETITEM | op::SETITEMS => self.fill(opcode),
            op::GLOBAL => {
                let (module, name) = (self.code.line()?, self.code.line()?);
                self.push(Value::Global(Global::named(module, name)?))
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(self.malformed("the name of a Python object is not a text"));
                };
                self.push(Value::Global(Global::named(module, name)?))
            }
            op::BINPERSID => {
                let storage = self.storage()?;
                let storage = self.heap.storage(storage)?;
                self.push(Value::Storage(storage))
            }
            op::REDUCE => self.reduce(),
            op::BUILD => self.build(),
            _ => match self.constant(opcode)? {
                Some(value) => self.push(value),
                None => Err(PickleError::Opcode { name: op::refused(opcode), at }),
            },
        }
    }

    /// The value that an instruction pushes; `None` for an instruction that is refused.
    fn constant(&mut self, opcode: u8) -> Result<Option<Value<'a>>, PickleError> {
        Ok(Some(match opcode {
            op::NONE => Value::None,
            op::NEWTRUE => Value::Bool(true),
            op::NEWFALSE => Value::Bool(false),
            op::BININT => Value::Int(self.code.i32()?.into()),
            op::BININT1 => Value::Int(self.code.u8()?.into()),
            op::BININT2 => Value::Int(self.code.u16()?.into()),
            op::LONG1 => Value::Int(self.long()?),
            op::BINFLOAT => self.code.u64().map(|_| Value::Float)?,
            op::SHORT_BINUNICODE => {
                let length = self.code.u8()?;
                Value::Text(self.code.text(length.into())?)
            }
            op::BINUNICODE => {
                let length = self.code.u32()?;
                Value::Text(self.code.text(length.into())?)
            }
            op::BINUNICODE8 => {
                let length = self.code.u64()?;
                Value::Text(self.code.text(length)?)
            }
            op::EMPTY_DICT => Value::Dict(self.heap.container(Vec::new())?),
            op::EMPTY_LIST => Value::List(self.heap.container(Vec::new())?),
            op::EMPTY_TUPLE => self.tuple(0)?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.pop_to_mark()?;
                Value::Tuple(self.heap.container(items)?)
            }
            _ => return Ok(None),
        }))
    }

    /// A little-endian integer in two's complement, its length before it.
    fn long(&mut self) -> Result<i64, PickleError> {
        let length = self.code.u8()?;
        let bytes = self.code.take(length.into())?;
        if bytes.len() > 8 {
            return Err(self.malformed(format!("an integer has {} bytes; at most 8 are read", bytes.len())));
        }
        let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
        let mut whole = [fill; 8];
        whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(i64::from_le_bytes(whole))
    }

    fn memoize(&mut self, opcode: u8) -> Result<(), PickleError> {
        let next = self.memo.len();
        let place = match opcode {
            op::BINPUT => self.code.u8()?.into(),
            op::LONG_BINPUT => self.code.u32()? as usize,
            _ => next,
        };
        let value = self.top()?;
        self.heap.count(1)?;
        match self.memo.get_mut(place) {
            Some(slot) => *slot = value,
            // Every pickler counts up, and a table without gaps can't be made to waste memory.
            None if place == next => self.memo.push(value),
            None => return Err(self.malformed(format!("it stores {place} where {next} is next"))),
        }
        Ok(())
    }

    /// Adds the values on top of the stack to the container below them.
    fn fill(&mut self, opcode: u8) -> Result<(), PickleError> {
        let items = match opcode {
            op::APPEND => vec![self.pop()?],
            op::SETITEM => self.pop_many(2)?,
            _ => self.pop_to_mark()?,
        };
        let is_list = matches!(opcode, op::APPEND | op::APPENDS);
        match self.top()? {
            Value::List(list) if is_list => self.heap.extend(list, &items),
            Value::Dict(dict) if !is_list && items.len() % 2 == 0 => self.heap.extend(dict, &items),
            other => {
                Err(self.malformed(format!("{} values can't be added to {}", items.len(), other.kind())))
            }
        }
    }

    fn check_depth(&self) -> Result<(), PickleError> {
        let depth = self.stack.len() + self.marks.len();
        if depth < MAX_STACK {
            return Ok(());
        }
        Err(PickleError::TooLarge {
            what: "values on its pickle's stack",
            found: depth as u64 + 1,
            max: MAX_STACK as u64,
        })
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        self.check_depth()?;
        self.stack.push(value);
        Ok(())
    }

    /// How many values lie above the last mark: what an instruction may take.
    fn available(&self) -> usize {
        self.stack.len().saturating_sub(self.marks.last().copied().unwrap_or_default())
    }

    fn pop_many(&mut self, n: usize) -> Result<Vec<Value<'a>>, PickleError> {
        if n > self.available() {
            return Err(self.malformed(format!("{n} values are needed, {} are there", self.available())));
        }
        Ok(self.stack.split_off(self.stack.len() - n))
    }

    pub(super) fn pop(&mut self) -> Result<Value<'a>, PickleError> {
        let value = if self.available() > 0 { self.stack.pop() } else { None };
        value.ok_or_else(|| self.malformed("a value is needed, none is there"))
    }

    pub(super) fn pop_tuple(&mut self) -> Result<usize, PickleError> {
        match self.pop()? {
            Value::Tuple(tuple) => Ok(tuple),
            other => Err(self.malformed(format!("{} stands where a tuple is needed", other.kind()))),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, PickleError> {
        let height = self.marks.pop().ok_or_else(|| self.malformed("no mark is set"))?;
        Ok(self.stack.split_off(height.min(self.stack.len())))
    }

    pub(super) fn top(&self) -> Result<Value<'a>, PickleError> {
        let value = if self.available() > 0 { self.stack.last() } else { None };
        value.copied().ok_or_else(|| self.malformed("a value is needed, none is there"))
    }

    fn tuple(&mut self, n: usize) -> Result<Value<'a>, PickleError> {
        let items = self.pop_many(n)?;
        Ok(Value::Tuple(self.heap.container(items)?))
    }

    pub(super) fn malformed(&self, reason: impl Into<String>) -> PickleError {
        self.code.malformed(reason)
    }
}
